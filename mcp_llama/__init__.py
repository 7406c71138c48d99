"""An MCP server that owns a llama.cpp token loop and gives it to agents as tools."""

from importlib.metadata import version

__version__ = version("mcp-llama")
