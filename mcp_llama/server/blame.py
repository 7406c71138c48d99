"""Blame: which field of a request is at fault where only the backend could tell that one is."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from mcp_llama.api import Tool
from mcp_llama.errors import ConstraintError, RequestError, UnknownNameError
from mcp_llama.server.format_wire import FormatIn


@contextmanager
def blaming(body: FormatIn | None, tools: Sequence[Tool] = ()) -> Generator[None]:
    """Give the errors of the body of this block the field of the request that is to change."""
    try:
        yield
    except RequestError as error:
        error.param = error.param or _field(error, body, tools)
        raise


def _field(error: RequestError, body: FormatIn | None, tools: Sequence[Tool]) -> str | None:
    match error:
        case ConstraintError():
            for index, tool in enumerate(tools):
                if error.subject.endswith(f" tool {tool.name!r}"):
                    return f"tools.{index}.function.parameters"
            return next(iter(body.formats if body else ()), "tools")
        case UnknownNameError() if "tool_choice" in error.kind:
            return "tool_choice"
        case _:
            return None
