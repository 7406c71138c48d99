"""From token bytes to text: characters that span tokens, stop strings that span tokens."""

import codecs
from collections.abc import Iterable


class Detokenizer:
    """Turns the bytes of one completion into text, piece by piece.

    A character is returned once its last byte is in. Text that may be the start of a stop string is held
    back until that is decided. The outcome depends on the bytes alone, not on how they were split.
    """

    def __init__(self, stop: Iterable[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stop = tuple(stop)
        self._held = ""
        self.matched: str | None = None
        """The stop string that ended the text, once one has. Nothing is returned after it."""
        self.decoded = 0
        """How many characters are complete, returned or held back."""
        self.returned = 0
        """How many characters were returned."""

    @property
    def is_between_characters(self) -> bool:
        """Whether the last character is complete."""
        return not self._decoder.getstate()[0]

    def push(self, piece: bytes) -> str:
        """The text that is certain after `piece`, without what earlier calls returned."""
        if self.matched is not None:
            return ""
        text = self._decoder.decode(piece)
        self.decoded += len(text)
        text = self._certain(text) if self._stop else text
        self.returned += len(text)
        return text

    def flush(self) -> str:
        """What was held back, at the end of a completion. Bytes of an unfinished character are dropped."""
        text, self._held = self._held, ""
        self.returned += len(text)
        return text

    def _certain(self, text: str) -> str:
        text = self._held + text
        end = self._match(text)
        if end is not None:
            self._held = ""
            return text[:end]
        keep = self._undecided(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _match(self, text: str) -> int | None:
        """Where the stop string that completes first begins, or None. Sets `matched`."""
        found = [(text.index(stop) + len(stop), text.index(stop), stop) for stop in self._stop if stop in text]
        if not found:
            return None
        _, start, self.matched = min(found)
        return start

    def _undecided(self, text: str) -> int:
        """The length of the longest end of `text` that begins a stop string."""
        longest = max(map(len, self._stop)) - 1
        for length in range(min(longest, len(text)), 0, -1):
            tail = text[len(text) - length :]
            if any(stop.startswith(tail) for stop in self._stop):
                return length
        return 0
