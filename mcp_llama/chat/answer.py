"""Readers of answers: they make of a generation's deltas and result what the caller asked for."""

import json
from dataclasses import replace

from mcp_llama.api import OutputFormat, Result, ToolCall
from mcp_llama.chat.delta import ChatDelta, Parts, ToolCallDelta, chat_delta
from mcp_llama.chat.parser import AnswerParser
from mcp_llama.engine.types import TokenDelta

_JSON_KINDS = ("json_schema", "json_object")
_LIMITS = {"length": "max_tokens", "time": "max_time_s", "abort": "an abort"}


class FormatReader:
    """Reads a text that has a format; `begun` is what the text began with before this generation."""

    def __init__(self, form: OutputFormat | None, notes: tuple[str, ...] = (), begun: str = "") -> None:
        self._form = form
        self._notes = notes
        self._begun = begun

    def read(self, delta: TokenDelta) -> TokenDelta:
        """The delta as it is."""
        return delta

    def complete(self, result: Result) -> Result:
        """The result with its parsed value, and notes on what it lacks."""
        notes, parsed = list(self._notes), None
        if self._form is not None and self._form.kind in _JSON_KINDS and not result.tool_calls:
            try:
                parsed = json.loads(self._begun + result.text)
            except ValueError:
                ended_by = result.stop or _LIMITS.get(result.finish_reason, "its end")
                notes.append(f"The JSON is incomplete: {ended_by!r} ended it.")
        return replace(result, parsed=parsed, notes=tuple(notes))


class AnswerReader(FormatReader):
    """Reads an answer of a chat: its reasoning, text and tool calls. For one generation."""

    def __init__(
        self, parser: AnswerParser, form: OutputFormat | None, notes: tuple[str, ...] = (), begun: str = ""
    ) -> None:
        super().__init__(form, notes, begun)
        self._parser = parser
        self._reasoning: list[str] = []
        self._calls: list[_Call] = []

    def read(self, delta: TokenDelta) -> ChatDelta:
        """The delta, taken apart."""
        parts = self._parser.push(delta.text)
        if delta.finish is not None:
            parts = _joined(parts, self._parser.flush())
            if delta.finish.reason == "stop" and self._parser.has_calls:
                delta = replace(delta, finish=replace(delta.finish, reason="tool_calls"))
        self._reasoning.append(parts.reasoning)
        for piece in parts.tool_calls:
            self._collect(piece)
        return chat_delta(delta, parts)

    def complete(self, result: Result) -> Result:
        """The result with reasoning and tool calls, and notes on what it lacks."""
        calls = tuple(ToolCall(id=call.id, name=call.name, arguments="".join(call.arguments)) for call in self._calls)
        result = super().complete(replace(result, reasoning="".join(self._reasoning), tool_calls=calls))
        if calls and result.finish_reason != "tool_calls":
            note = f"The last tool call is incomplete: {_LIMITS.get(result.finish_reason, 'a stop string')} ended it."
            return replace(result, notes=(*result.notes, note))
        if self._parser.reasons and not result.text:
            note = (
                f"The answer is empty: {_LIMITS.get(result.finish_reason, 'a stop string')} ended the reasoning. "
                "Raise max_tokens, or set reasoning_budget."
            )
            return replace(result, notes=(*result.notes, note))
        return result

    def _collect(self, piece: ToolCallDelta) -> None:
        if piece.name is not None and piece.id is not None:
            self._calls.append(_Call(piece.id, piece.name))
        self._calls[piece.index].arguments.append(piece.arguments)


class _Call:
    def __init__(self, call_id: str, name: str) -> None:
        self.id = call_id
        self.name = name
        self.arguments: list[str] = []


def _joined(first: Parts, second: Parts) -> Parts:
    return Parts(first.reasoning + second.reasoning, first.text + second.text, (*first.tool_calls, *second.tool_calls))
