"""MergeError: why the file of a client cannot take an entry."""

from mcp_llama.errors import McpLlamaError


class MergeError(McpLlamaError):
    """A file is damaged, or written in a way in which an entry cannot be added without touching anything else."""
