"""`python -m mcp_llama`, the same as the command `mcp-llama`."""

from mcp_llama.cli import main

main()
