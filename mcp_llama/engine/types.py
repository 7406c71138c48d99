"""All that crosses the border between the event loop and the engine thread.

Everything here is immutable but the constraint, which the event loop gives away with the request.
"""

from dataclasses import dataclass, replace

from mcp_llama.api import FinishReason, TokenLogprob
from mcp_llama.engine.constraint import Constraint
from mcp_llama.engine.reasoning import ReasoningRule
from mcp_llama.engine.sampling import SamplingParams


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """One sequence to run. `arrival` and `deadline` are `time.monotonic()` seconds; `seed` in `sampling` is set.

    `top_logprobs` None asks for no log probabilities; with them, every token is sampled, those too that a constraint
    forces. Unless `streamed`, one delta at the end says all.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: SamplingParams
    stop: tuple[str, ...]
    arrival: float
    deadline: float | None
    top_logprobs: int | None = None
    constraint: Constraint | None = None
    reasoning: ReasoningRule | None = None
    streamed: bool = True


@dataclass(frozen=True, slots=True)
class Finish:
    """Why and when a sequence ended; `finished` is in `time.monotonic()` seconds.

    `uncut_tokens` of the prompt had been computed before, but the model's memory could not be cut behind them.
    """

    reason: FinishReason
    stop: str | None
    finished: float
    error: Exception | None = None
    uncut_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenDelta:
    """What happened to a sequence since the last delta.

    `text` is complete characters only, and may be empty. `computed_tokens` counts prompt and completion so far,
    `completion_tokens` the completion alone, `reasoning_tokens` its reasoning. `admitted`, when it got its slot, and
    `first_token` are in `time.monotonic()` seconds. `logprobs` are those of the tokens whose text begins in `text`.
    """

    text: str
    computed_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    admitted: float | None = None
    first_token: float | None = None
    finish: Finish | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    reasoning_tokens: int = 0

    def merged(self, later: "TokenDelta") -> "TokenDelta":
        """This delta and a later one of the same sequence as one."""
        return replace(later, text=self.text + later.text, logprobs=self.logprobs + later.logprobs)
