"""The suite's tools that answer at once."""

from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult
from pydantic import Field

from mcp_llama.server.mcp import LlamaServer
from tests.node.conformance.blocks import audio, embedded, image, said, shown, text


def add_tools(server: LlamaServer) -> None:
    for name, tool in {
        "test_simple_text": _simple_text,
        "test_image_content": _image,
        "test_audio_content": _audio,
        "test_embedded_resource": _resource,
        "test_multiple_content_types": _several,
        "test_error_handling": _error,
        "test_tool_with_progress": _progress,
        "test_headers": _headers,
    }.items():
        server.add_tool(tool, name, description=name, structured_output=False)


def _simple_text() -> CallToolResult:
    return said("This is a simple text response for testing.")


def _image() -> CallToolResult:
    return shown(image())


def _audio() -> CallToolResult:
    return shown(audio())


def _resource() -> CallToolResult:
    return shown(embedded("test://embedded-resource", "This is an embedded resource content."))


def _several() -> CallToolResult:
    resource = embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
    return shown(text("Multiple content types test:"), image(), resource)


def _error() -> CallToolResult:
    raise ToolError("This tool intentionally returns an error for testing")


async def _progress(context: Context) -> CallToolResult:
    for progress in (0, 50, 100):
        await context.report_progress(progress, 100)
    return said("Done.")


def _headers(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> CallToolResult:
    return said(region)
