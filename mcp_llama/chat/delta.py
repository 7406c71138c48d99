"""What is new in an answer: text, reasoning, pieces of tool calls."""

from dataclasses import dataclass, fields

from mcp_llama.engine.types import TokenDelta


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the tool call number `index`. The first one has id and name and no arguments, the others only those.

    The arguments of all pieces joined are the JSON text of an object.
    """

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """Pieces of an answer by their kind, in the order in which an answer has them: reasoning, text, tool calls."""

    reasoning: str = ""
    text: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatDelta(TokenDelta):
    """A TokenDelta taken apart: `text` is the answer's own, without its reasoning and tool calls."""

    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()


_FIELDS = tuple(field.name for field in fields(TokenDelta) if field.name != "text")


def chat_delta(delta: TokenDelta, parts: Parts) -> ChatDelta:
    """`delta` with its text taken apart."""
    rest = {name: getattr(delta, name) for name in _FIELDS}
    return ChatDelta(text=parts.text, reasoning=parts.reasoning, tool_calls=parts.tool_calls, **rest)
