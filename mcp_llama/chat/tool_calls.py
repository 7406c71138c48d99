"""ToolCallParser: tool calls out of an answer's text, while it streams."""

import secrets
import string
from enum import Enum, auto

from mcp_llama.chat.delta import ToolCallDelta
from mcp_llama.chat.json_span import JsonSpan
from mcp_llama.chat.marks import CallSyntax

_ID_CHARACTERS = string.ascii_letters + string.digits
_ID_LENGTH = 9
"""Some templates accept no other."""


class _Expect(Enum):
    NAME = auto()
    MIDDLE = auto()
    ARGUMENTS = auto()
    TAIL = auto()
    NEXT = auto()
    NOTHING = auto()


def new_call_id() -> str:
    """An id for a tool call."""
    return "".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH))


class ToolCallParser:
    """Reads what follows the head of a syntax.

    The grammar has seen to it that this is what the syntax says, but for white space: each part is recognised by its
    length. Each character is looked at once.
    """

    def __init__(self, syntax: CallSyntax) -> None:
        self._syntax = syntax
        self._expected = _Expect.NAME
        self._skip = 0
        self._name = ""
        self._span = JsonSpan()
        self._pieces: list[ToolCallDelta] = []
        self._separator = _compact(syntax.separator)
        self._next = ""
        self.count = 0
        """How many calls have begun."""
        self.complete = 0
        """How many of them have all their arguments."""

    @property
    def is_done(self) -> bool:
        """Whether the last call is complete, with nothing begun behind it."""
        return self.complete == self.count > 0 and not self._next and self._expected is not _Expect.NAME

    def push(self, text: str) -> tuple[ToolCallDelta, ...]:
        """The pieces of calls in the next text."""
        while text:
            text = self._step(text)
        pieces, self._pieces = tuple(self._pieces), []
        return pieces

    def _step(self, text: str) -> str:
        """Take in a part of `text`; what is left of it."""
        match self._expected:
            case _Expect.NAME:
                return self._read_name(text)
            case _Expect.MIDDLE:
                return self._skip_literal(text, _Expect.ARGUMENTS)
            case _Expect.ARGUMENTS:
                return self._read_arguments(text)
            case _Expect.TAIL:
                return self._skip_literal(text, _Expect.NEXT)
            case _Expect.NEXT:
                return self._read_separator(text)
            case _Expect.NOTHING:
                return ""

    def _read_name(self, text: str) -> str:
        end = text.find(self._syntax.middle[0])
        self._name += text if end < 0 else text[:end]
        if end < 0:
            return ""
        self._pieces.append(ToolCallDelta(self.count, id=new_call_id(), name=self._name))
        self.count += 1
        self._name = ""
        self._expect(_Expect.MIDDLE, self._syntax.middle)
        return text[end:]

    def _read_arguments(self, text: str) -> str:
        size = self._span.push(text)
        self._pieces.append(ToolCallDelta(self.count - 1, text[:size]))
        if size is None:
            return ""
        self.complete += 1
        self._span = JsonSpan()
        self._expect(_Expect.TAIL, self._syntax.tail)
        return text[size:]

    def _expect(self, part: _Expect, literal: str) -> None:
        self._expected, self._skip = part, len(_compact(literal))

    def _skip_literal(self, text: str, then: _Expect) -> str:
        for index, char in enumerate(text):
            if not char.isspace():
                if not self._skip:
                    self._expected = then
                    return text[index:]
                self._skip -= 1
        return ""

    def _read_separator(self, text: str) -> str:
        for index, char in enumerate(text):
            self._next += "" if char.isspace() else char
            if not self._separator.startswith(self._next) or not self._separator:
                self._next, self._expected = "", _Expect.NOTHING
                return ""
            if self._next == self._separator:
                self._next, self._expected = "", _Expect.NAME
                return text[index + 1 :]
        return ""


def _compact(literal: str) -> str:
    return "".join(literal.split())
