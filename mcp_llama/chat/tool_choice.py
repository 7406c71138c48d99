"""Which tools the model is told of, and which of them it may or must call."""

import re
from collections.abc import Sequence

from mcp_llama.api import ChatRequest, NamedTool, Tool
from mcp_llama.chat.call_start import CallStart
from mcp_llama.chat.marks import CallSyntax
from mcp_llama.errors import RequestError, UnknownNameError, shown

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_.:/-]{1,128}")
_MAX_TOOLS = 128


def offered_tools(request: ChatRequest) -> Sequence[Tool]:
    """The tools that the model is told of.

    Raises:
        RequestError: names are bad or not unique, there are too many tools, or they do not fit tool_choice.
    """
    names = [tool.name for tool in request.tools]
    if len(names) > _MAX_TOOLS:
        raise RequestError(f"There are {len(names)} tools, but at most {_MAX_TOOLS} may be given.", "tools")
    for name in names:
        if not _TOOL_NAME.fullmatch(name):
            allowed = "Take 1 to 128 letters, digits, _ - . : or /."
            raise RequestError(f"Tool name {shown(name)} is not allowed. {allowed}", "tools")
        if names.count(name) > 1:
            raise RequestError(f"Two tools are called {name!r}. Give each one a name of its own.", "tools")
    if isinstance(request.tool_choice, NamedTool) and request.tool_choice.name not in names:
        raise UnknownNameError("tool in tool_choice", request.tool_choice.name, names)
    if request.tool_choice == "required" and not names:
        raise RequestError("tool_choice is required, but there are no tools. Give some.", "tool_choice")
    return () if request.tool_choice == "none" else request.tools


def callable_tools(request: ChatRequest, offered: Sequence[Tool]) -> Sequence[Tool]:
    """Those that the model may call."""
    if isinstance(request.tool_choice, NamedTool):
        return [tool for tool in offered if tool.name == request.tool_choice.name]
    return offered


def must_call(request: ChatRequest) -> bool:
    """Whether the answer must be a call."""
    return request.tool_choice not in ("auto", "none")


def call_start(request: ChatRequest, syntax: CallSyntax, tools: Sequence[Tool]) -> CallStart | None:
    """How calls of `tools` begin in an answer to the request; None if there are none."""
    if not tools:
        return None
    beside = "nothing" if must_call(request) else "text" if request.format is None else "format"
    return CallStart(syntax, tuple(tool.name for tool in tools), beside)
