"""ReasoningSpan: counts the tokens in which a model reasons, and knows when they are too many. Engine thread only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningRule:
    """How reasoning is marked in a completion.

    `start` None means that the prompt has opened it. After `budget` tokens of it, `closing` is put behind them, which
    are the tokens of a text that holds `end`.
    """

    start: str | None
    end: str
    budget: int | None = None
    closing: tuple[int, ...] = ()


class ReasoningSpan:
    """Where in its reasoning a completion is."""

    def __init__(self, rule: ReasoningRule) -> None:
        self._budget = rule.budget
        self._closing = rule.closing
        self._start = (rule.start or "").encode()
        self._end = rule.end.encode()
        self._seen = b""
        self._pushed = 0
        self._inside = rule.start is None
        self._over = False
        self.tokens = 0
        """How many tokens of the completion are reasoning, its marks included."""

    @property
    def is_overdue(self) -> bool:
        """Whether it has used its budget up and goes on."""
        return self._inside and self._budget is not None and self.tokens >= self._budget

    def take_closing(self) -> tuple[int, ...]:
        """The tokens that end it; only once, because a model may not show that they do."""
        closing, self._closing = self._closing, ()
        return closing

    def push(self, piece: bytes) -> None:
        """Take the bytes of the next token in."""
        if self._over:
            return
        self._pushed += 1
        self._seen += piece
        if not self._inside:
            self._look_for_start()
        if self._inside:
            self.tokens = self._pushed
            self._look_for_end()

    def _look_for_start(self) -> None:
        text = self._seen.lstrip(b" \t\r\n")
        if text.startswith(self._start):
            self._inside = True
            self._seen = text[len(self._start) :]
        elif not self._start.startswith(text):
            self._over = True

    def _look_for_end(self) -> None:
        if self._end in self._seen:
            self._inside, self._over = False, True
        self._seen = self._seen[max(0, len(self._seen) - len(self._end) + 1) :]
