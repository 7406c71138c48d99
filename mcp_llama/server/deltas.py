"""Deltas on the wire: the same objects in `/v1` chunks and in MCP progress notifications."""

from typing import Any

from mcp_llama.chat.delta import ChatDelta, ToolCallDelta
from mcp_llama.engine.types import TokenDelta

Json = dict[str, Any]


def delta_json(delta: TokenDelta) -> Json:
    """What is new of an answer as OpenAI's API has it, with the reasoning as `reasoning_content`; may be empty."""
    new: Json = {}
    if isinstance(delta, ChatDelta):
        if delta.reasoning:
            new["reasoning_content"] = delta.reasoning
        if delta.tool_calls:
            new["tool_calls"] = [_call(piece) for piece in delta.tool_calls]
    return {"content": delta.text, **new} if delta.text else new


class DeltaBuffer:
    """Deltas that go out together."""

    def __init__(self) -> None:
        self._new: Json = {}

    def __bool__(self) -> bool:
        """Whether there is something to take."""
        return bool(self._new)

    def add(self, delta: Json) -> None:
        """Put a later one behind."""
        for key, value in delta.items():
            self._new[key] = self._new[key] + value if key in self._new else value

    def take(self) -> Json:
        """All of them as one."""
        new, self._new = self._new, {}
        return new


def _call(piece: ToolCallDelta) -> Json:
    if piece.name is None:
        return {"index": piece.index, "function": {"arguments": piece.arguments}}
    function = {"name": piece.name, "arguments": piece.arguments}
    return {"index": piece.index, "id": piece.id, "type": "function", "function": function}
