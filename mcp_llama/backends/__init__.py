"""What answers a request: an engine in this process, or another server."""
