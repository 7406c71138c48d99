"""LlamaServer: the MCP server class. Checks argument names, maps errors to tool results, counts running calls."""

from typing import Any

import anyio
from mcp import MCPError
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.stdio import stdio_server
from mcp_types import INVALID_PARAMS, CallToolResult, GetPromptResult, InputRequiredResult, TextContent
from pydantic import ValidationError

from mcp_llama.errors import McpLlamaError, UnknownNameError
from mcp_llama.server.calls import Calls
from mcp_llama.server.client_watch import ClientGoneError
from mcp_llama.server.validation import explain


class LlamaServer(MCPServer[None]):
    """An MCPServer whose tool errors say what to change and nothing else."""

    def __init__(self, *, tools: list[Tool], **kwargs: Any) -> None:
        super().__init__(tools=tools, **kwargs)
        self.calls = Calls()

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[None, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; every failure that the caller can understand comes back as an error result."""
        try:
            tool = self._tool_manager.get_tool(name)
            if tool is None:
                raise UnknownNameError("tool", name, [tool.name for tool in self._tool_manager.list_tools()])
            known = tool.parameters["properties"]
            for argument in arguments:
                if argument not in known:
                    raise UnknownNameError(f"argument of {name}", argument, known)
            with self.calls.running():
                return await super().call_tool(name, arguments, context)
        except McpLlamaError as error:
            return _error_result(str(error))
        except ToolError as error:
            text = _explain(error.__cause__)
            if text is None:
                raise
            return _error_result(text)

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[None, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """Get a prompt.

        Raises:
            MCPError: there is none of that name.
        """
        known = [prompt.name for prompt in await self.list_prompts()]
        if name not in known:
            raise MCPError(INVALID_PARAMS, str(UnknownNameError("prompt", name, known)))
        return await super().get_prompt(name, arguments, context)

    async def run_on_files(self, reader: anyio.AsyncFile[str], writer: anyio.AsyncFile[str]) -> None:
        """Serve one client over a pair of text files, a message a line, until the first one ends."""
        server = self._lowlevel_server
        async with stdio_server(reader, writer) as streams:
            await server.run(*streams, server.create_initialization_options())


def _explain(cause: BaseException | None) -> str | None:
    """What the caller should read of a failure, or None if it is a defect whose text stays here."""
    match cause:
        case McpLlamaError():
            return str(cause)
        case ClientGoneError():
            return "The client stopped listening."
        case ValidationError():
            return explain(cause.errors(include_url=False))
        case _:
            return None


def _error_result(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
