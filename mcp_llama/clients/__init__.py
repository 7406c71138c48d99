"""MCP clients: the entry that makes one start or reach this server, and the file of its own for it."""
