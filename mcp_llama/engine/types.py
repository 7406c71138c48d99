"""All that crosses the border between the event loop and the engine thread. Everything here is immutable."""

from dataclasses import dataclass

from mcp_llama.api import FinishReason
from mcp_llama.engine.sampling import SamplingParams


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """One sequence to run. `arrival` and `deadline` are `time.monotonic()` seconds; `seed` in `sampling` is set."""

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: SamplingParams
    stop: tuple[str, ...]
    arrival: float
    deadline: float | None


@dataclass(frozen=True, slots=True)
class Finish:
    """Why and when a sequence ended. Times are `time.monotonic()` seconds; `admitted` is when it got a slot."""

    reason: FinishReason
    stop: str | None
    cached_tokens: int
    admitted: float | None
    first_token: float | None
    finished: float
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class TokenDelta:
    """What happened to a sequence since the last delta.

    `computed_tokens` counts prompt and completion so far, `completion_tokens` the completion alone.
    `text` is complete characters only, and may be empty.
    """

    text: str
    computed_tokens: int
    completion_tokens: int
    finish: Finish | None = None

    def merged(self, later: "TokenDelta") -> "TokenDelta":
        """This delta and a later one of the same sequence as one."""
        return TokenDelta(self.text + later.text, later.computed_tokens, later.completion_tokens, later.finish)
