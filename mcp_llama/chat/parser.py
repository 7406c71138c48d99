"""AnswerParser: reasoning, text and tool calls out of what a model writes, while it streams."""

import re

from mcp_llama.chat.delta import Parts, ToolCallDelta
from mcp_llama.chat.marks import CallSyntax, ReasoningMarks
from mcp_llama.chat.tool_calls import ToolCallParser

_MAX_HEAD = 256
"""Characters; a head with so much white space in it is none."""


class AnswerParser:
    """Takes an answer apart.

    Text that may be the beginning of a mark is held back until that is decided, so the outcome does not depend on how
    the text was split. `marks` None leaves reasoning in the text, `syntax` None the calls. `reasons` tells that the
    prompt has opened the reasoning; `begun` that the answer has text already, which the prompt holds.
    """

    def __init__(
        self, marks: ReasoningMarks | None, syntax: CallSyntax | None, *, reasons: bool = False, begun: bool = False
    ) -> None:
        self._marks = marks
        self._syntax = syntax
        self._calls = None if syntax is None else ToolCallParser(syntax)
        self._held = ""
        self._state = self._reasoning if marks and reasons else self._beginning
        self._may_reason = marks is not None and not begun
        self._may_call_at_once = syntax is not None and not begun
        self._reasoning_text: list[str] = []
        self._text: list[str] = []
        self._pieces: list[ToolCallDelta] = []

    @property
    def reasons(self) -> bool:
        """Whether the reasoning has not ended yet."""
        return self._state == self._reasoning

    @property
    def has_calls(self) -> bool:
        """Whether there are tool calls, all of them complete."""
        return self._calls is not None and self._calls.is_done

    def push(self, text: str) -> Parts:
        """What is certain after the next text, without what earlier calls returned."""
        self._held += text
        while self._state():
            pass
        return self._take()

    def flush(self) -> Parts:
        """What was held back, at the end of an answer."""
        held, self._held = self._held, ""
        (self._reasoning_text if self.reasons else self._text).append(held)
        return self._take()

    def _take(self) -> Parts:
        parts = Parts("".join(self._reasoning_text), "".join(self._text), tuple(self._pieces))
        self._reasoning_text, self._text, self._pieces = [], [], []
        return parts

    def _beginning(self) -> bool:
        """Nothing of the answer has come: it may reason, call or say something."""
        text = self._held.lstrip()
        if self._may_reason and self._marks is not None:
            if text.startswith(self._marks.start):
                self._held = text[len(self._marks.start) :]
                self._state = self._reasoning
                return True
            if self._marks.start.startswith(text):
                return False
        return self._begin_call(text)

    def _begin_call(self, text: str) -> bool:
        if self._may_call_at_once and self._syntax is not None and len(self._held) <= _MAX_HEAD:
            length = self._head_length(self._held, self._syntax)
            if length is None:
                return False
            if length:
                self._held = self._held[length:]
                self._state = self._calling
                return True
        elif not text and self._may_reason:
            return False
        self._state = self._saying
        return True

    def _head_length(self, text: str, syntax: CallSyntax) -> int | None:
        """How long the head is with which `text` begins: 0 if it does not, None if that is not decided yet."""
        if syntax.anywhere:
            return _prefix_length(text, syntax.head)
        lengths = [_prefix_length(text, head) for head in {syntax.head, syntax.lead + syntax.head}]
        found = max((length for length in lengths if length), default=0)
        if found:
            return found if re.fullmatch(syntax.loose_head, text[:found]) else 0
        return None if None in lengths else 0

    def _reasoning(self) -> bool:
        assert self._marks is not None
        before, mark, after = self._held.partition(self._marks.end)
        if not mark:
            self._release(self._reasoning_text, self._marks.end)
            return False
        self._reasoning_text.append(before)
        # White space between reasoning and answer belongs to neither.
        self._held = after
        self._may_reason = False
        self._state = self._gap
        return True

    def _gap(self) -> bool:
        self._held = self._held.lstrip()
        if self._held:
            self._state = self._beginning
        return bool(self._held)

    def _saying(self) -> bool:
        if self._syntax is None or not self._syntax.anywhere:
            self._text.append(self._held)
            self._held = ""
            return False
        before, mark, after = self._held.partition(self._syntax.trigger)
        if not mark:
            self._release(self._text, self._syntax.trigger)
            return False
        self._text.append(before)
        self._held = mark + after
        self._state = self._heading
        return True

    def _heading(self) -> bool:
        assert self._syntax is not None
        length = self._head_length(self._held, self._syntax)
        if length is None:
            return False
        cut = length or len(self._syntax.trigger)
        if not length:
            self._text.append(self._held[:cut])
        self._held = self._held[cut:]
        self._state = self._calling if length else self._saying
        return True

    def _calling(self) -> bool:
        assert self._calls is not None
        self._pieces += self._calls.push(self._held)
        self._held = ""
        return False

    def _release(self, to: list[str], mark: str) -> None:
        """All that is held but the longest end of it that begins the mark."""
        keep = next((n for n in range(min(len(mark) - 1, len(self._held)), 0, -1) if self._held.endswith(mark[:n])), 0)
        cut = len(self._held) - keep
        to.append(self._held[:cut])
        self._held = self._held[cut:]


def _prefix_length(text: str, literal: str) -> int | None:
    """How much of `text` is `literal`, white space aside: 0 if it differs, None if it is too short."""
    expected = "".join(literal.split())
    matched = 0
    for index, char in enumerate(text):
        if char.isspace():
            continue
        if char != expected[matched]:
            return 0
        matched += 1
        if matched == len(expected):
            return index + 1
    return None
