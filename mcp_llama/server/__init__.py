"""The doors: MCP over three transports, and HTTP."""
