"""Readers of answers: they make of a generation's deltas and result what the caller asked for."""

from dataclasses import replace

from mcp_llama.api import OutputFormat, Result, ToolCall
from mcp_llama.chat.delta import ChatDelta, Parts, ToolCallDelta, chat_delta
from mcp_llama.chat.json_value import json_value
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
        return self._parsed(result, result.text)

    def _parsed(self, result: Result, text: str) -> Result:
        """The result with the value of `text`, if that is JSON, and notes."""
        if self._form is None or self._form.kind not in _JSON_KINDS:
            return replace(result, notes=self._notes)
        try:
            return replace(result, notes=self._notes, parsed=json_value(self._begun + text))
        except ValueError as error:
            if result.finish_reason == "stop" and result.stop is None:
                note = f"The JSON could not be read: {error}."
            else:
                note = f"The JSON is incomplete: {_end(result)} ended it."
            return replace(result, notes=(*self._notes, note))


class AnswerReader(FormatReader):
    """Reads an answer of a chat: its reasoning, text and tool calls. For one generation.

    Without `split`, the reasoning goes into the text; the parser must then be a verbatim one.
    """

    def __init__(
        self,
        parser: AnswerParser,
        form: OutputFormat | None,
        notes: tuple[str, ...] = (),
        begun: str = "",
        *,
        split: bool = True,
    ) -> None:
        super().__init__(form, notes, begun)
        self._parser = parser
        self._split = split
        self._reasoning: list[str] = []
        self._text: list[str] = []
        self._calls: list[_Call] = []

    def read(self, delta: TokenDelta) -> ChatDelta:
        """The delta, taken apart."""
        parts = self._parser.push(delta.text)
        if delta.finish is not None:
            parts = _joined(parts, self._parser.flush())
            if delta.finish.reason == "stop" and self._parser.has_calls:
                delta = replace(delta, finish=replace(delta.finish, reason="tool_calls"))
        self._text.append(parts.text)
        if not self._split:
            parts = replace(parts, reasoning="", text=parts.reasoning + parts.text)
        self._reasoning.append(parts.reasoning)
        for piece in parts.tool_calls:
            self._collect(piece)
        return chat_delta(delta, parts)

    def complete(self, result: Result) -> Result:
        """The result with reasoning and tool calls, and notes on what it lacks."""
        calls = tuple(ToolCall(id=call.id, name=call.name, arguments="".join(call.arguments)) for call in self._calls)
        result = replace(result, reasoning="".join(self._reasoning), tool_calls=calls)
        if self._parser.is_calling:
            missing = self._missing_call(result)
            return replace(result, notes=(*self._notes, *missing))
        text = "".join(self._text)
        if self._parser.reasons and not text:
            note = f"The answer is empty: {_end(result)} ended the reasoning."
            if result.finish_reason in _LIMITS:
                note += " Raise max_tokens, or set reasoning_budget."
            return replace(result, notes=(*self._notes, note))
        return self._parsed(result, text)

    def _missing_call(self, result: Result) -> list[str]:
        if result.finish_reason == "tool_calls":
            return []
        if self._parser.has_calls:
            return [f"There might have been more tool calls: {_end(result)} ended the answer."]
        return [f"The last tool call is incomplete: {_end(result)} ended it."]

    def _collect(self, piece: ToolCallDelta) -> None:
        if piece.name is not None and piece.id is not None:
            self._calls.append(_Call(piece.id, piece.name))
        self._calls[piece.index].arguments.append(piece.arguments)


class _Call:
    def __init__(self, call_id: str, name: str) -> None:
        self.id = call_id
        self.name = name
        self.arguments: list[str] = []


def _end(result: Result) -> str:
    """What ended the text, for a note."""
    if result.stop is not None:
        return f"the stop string {result.stop!r}"
    return _LIMITS.get(result.finish_reason, "the model")


def _joined(first: Parts, second: Parts) -> Parts:
    return Parts(first.reasoning + second.reasoning, first.text + second.text, (*first.tool_calls, *second.tool_calls))
