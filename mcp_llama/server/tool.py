"""Making a function a tool."""

from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations

from mcp_llama.server.schema import lean, lean_arguments


def make_tool(function: Callable[..., Any], description: str) -> Tool:
    """A tool whose schemas carry nothing that only costs the agent tokens."""
    annotations = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    tool = Tool.from_function(function, description=description, annotations=annotations)
    tool.parameters = lean_arguments(tool.parameters)
    if tool.fn_metadata.output_schema is not None:
        tool.fn_metadata.output_schema = lean(tool.fn_metadata.output_schema)
    return tool
