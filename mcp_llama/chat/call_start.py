"""CallStart: how the tool calls of an answer begin, and how a text of the model is told from them."""

import re
from dataclasses import dataclass
from typing import Literal

from mcp_llama.chat.marks import LOOSE_SPACE, CallSyntax

_SPACE = re.compile(LOOSE_SPACE)


@dataclass(frozen=True, slots=True)
class CallStart:
    """What the grammar of an answer makes of a syntax.

    `beside` is what the answer may be instead of calls. Beside a text, calls follow the trigger, and the grammar allows
    nothing else there. A format may allow a text with the same head, so it takes one of `names` to make that a call,
    and it is the first thing in an answer; so it is where nothing else may be.
    """

    syntax: CallSyntax
    names: tuple[str, ...] = ()
    beside: Literal["text", "format", "nothing"] = "text"

    @property
    def trigger(self) -> str:
        """The text that begins calls wherever it stands in an answer; empty if they only come first."""
        return self.syntax.trigger if self.syntax.anywhere and self.beside == "text" else ""

    def length(self, text: str) -> int | None:
        """How long the head is with which `text` begins: 0 if it does not, None if that is not decided yet."""
        syntax = self.syntax
        if self.beside == "format":
            found = _either([prefix_length(text, f"{syntax.head}{name}{syntax.middle}{{") for name in self.names])
            return found and len(syntax.head)
        if self.beside == "nothing" or syntax.anywhere:
            return prefix_length(text, syntax.head)
        return _either([_loose_length(text, tokens) for tokens in syntax.loose_heads])


def prefix_length(text: str, literal: str) -> int | None:
    """The length of `literal` if `text` begins with it: 0 if it does not, None if `text` ends too early to know."""
    if text.startswith(literal):
        return len(literal)
    return None if literal.startswith(text) else 0


def _either(lengths: list[int | None]) -> int | None:
    return max((length for length in lengths if length), default=None if None in lengths else 0)


def _loose_length(text: str, tokens: tuple[str, ...]) -> int | None:
    """The same for tokens that may have white space between them, as `CallSyntax.loose_head` says."""
    end = 0
    for token in tokens:
        space = _SPACE.match(text, end)
        start = space.end() if space else end
        length = prefix_length(text[start : start + len(token)], token)
        if not length:
            return length
        end = start + length
    return end
