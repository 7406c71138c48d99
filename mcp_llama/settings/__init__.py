"""The options of each command; `mcp_llama.config` reads their values."""
