"""AnswerParser: reasoning, text and tool calls out of what a model writes, while it streams."""

from mcp_llama.chat.call_start import CallStart, prefix_length
from mcp_llama.chat.delta import Parts, ToolCallDelta
from mcp_llama.chat.marks import ReasoningMarks
from mcp_llama.chat.tool_calls import ToolCallParser

_SPACE = " \t\r\n"


class AnswerParser:
    """Takes an answer apart.

    Text that may be the beginning of a mark is held back until that is decided, so the outcome does not depend on how
    the text was split. `marks` None leaves reasoning in the text, `start` None the calls. `reasons` tells that the
    prompt has opened the reasoning. `begun` is the text with which the answer begins and that its caller has already;
    calls that begin in it are given whole. With `verbatim` the reasoning has its marks and the white space around it.
    """

    def __init__(
        self,
        marks: ReasoningMarks | None,
        start: CallStart | None,
        *,
        reasons: bool = False,
        begun: str = "",
        verbatim: bool = False,
    ) -> None:
        self._marks = marks
        self._start = start
        self._calls = None if start is None else ToolCallParser(start.syntax)
        self._verbatim = verbatim
        self._held = ""
        self._space: list[str] = []
        self._state = self._reasoning if marks and reasons else self._beginning if marks or start else self._saying
        self._may_reason = marks is not None and not begun
        self._reasoned = False
        self._reasoning_text: list[str] = []
        self._text: list[str] = []
        self._pieces: list[ToolCallDelta] = []
        self._known = len(begun)
        self._read(begun)

    @property
    def reasons(self) -> bool:
        """Whether the reasoning has not ended yet."""
        return self._state == self._reasoning

    @property
    def is_calling(self) -> bool:
        """Whether tool calls have begun."""
        if self._start is None or self.reasons:
            return False
        return self._state in (self._heading, self._calling) or self._start.beside == "nothing"

    @property
    def has_calls(self) -> bool:
        """Whether there are tool calls, all of them complete."""
        return self._calls is not None and self._calls.is_done

    def push(self, text: str) -> Parts:
        """What is certain after the next text, without what earlier calls returned."""
        self._read(text)
        return self._take()

    def flush(self) -> Parts:
        """What was held back, at the end of an answer."""
        self._release_space()
        (self._reasoning_text if self.reasons else self._text).append(self._held)
        self._held = ""
        return self._take()

    def _read(self, text: str) -> None:
        self._held += text
        while self._state():
            pass

    def _take(self) -> Parts:
        text = "".join(self._text)
        known, self._known = text[: self._known], max(0, self._known - len(text))
        parts = Parts("".join(self._reasoning_text), text[len(known) :], tuple(self._pieces))
        self._reasoning_text, self._text, self._pieces = [], [], []
        return parts

    def _beginning(self) -> bool:
        """Nothing but white space has come: it may reason, call or say something."""
        text = self._held.lstrip(_SPACE)
        self._space.append(self._held[: len(self._held) - len(text)])
        self._held = text
        opening = self._marks.start if self._marks and self._may_reason else ""
        opened = prefix_length(text, opening) if opening else 0
        trigger = self._start.trigger if self._start else ""
        head = prefix_length(text, trigger) if trigger else self._start.length(text) if self._start else 0
        if not text or opened is None or (head is None and not opened):
            return False
        if opened:
            self._open(opened)
        elif head:
            self._state = self._heading
        else:
            self._release_space()
            self._state = self._saying
        return True

    def _open(self, length: int) -> None:
        if self._verbatim:
            self._reasoning_text += [*self._space, self._held[:length]]
        self._space = []
        self._held = self._held[length:]
        self._state = self._reasoning

    def _release_space(self) -> None:
        """White space between reasoning and answer belongs to neither, any other to the text."""
        if not self._reasoned:
            self._text += self._space
        elif self._verbatim:
            self._reasoning_text += self._space
        self._space = []

    def _reasoning(self) -> bool:
        assert self._marks is not None
        before, mark, after = self._held.partition(self._marks.end)
        if not mark:
            self._release(self._reasoning_text, self._marks.end)
            return False
        self._reasoning_text += [before, mark] if self._verbatim else [before]
        self._held = after
        self._may_reason, self._reasoned = False, True
        self._state = self._beginning
        return True

    def _saying(self) -> bool:
        trigger = self._start.trigger if self._start else ""
        before, mark, after = self._held.partition(trigger) if trigger else (self._held, "", "")
        if not mark:
            self._release(self._text, trigger)
            return False
        self._text.append(before)
        self._held = mark + after
        self._state = self._heading
        return True

    def _heading(self) -> bool:
        assert self._start is not None
        length = self._start.length(self._held)
        if length is None:
            return False
        if self._reasoned or not length:
            self._release_space()
        self._space = []
        if not length:
            self._text.append(self._start.trigger)
        self._held = self._held[length or len(self._start.trigger) :]
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
