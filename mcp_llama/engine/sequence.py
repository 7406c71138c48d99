"""Sequence and Slot: the state of a running request. Engine thread only."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_llama.api import FinishReason, TokenLogprob
from mcp_llama.engine.detokenizer import Detokenizer
from mcp_llama.engine.logprobs import HeldLogprobs
from mcp_llama.engine.model import Sampler
from mcp_llama.engine.reasoning import ReasoningSpan
from mcp_llama.engine.types import Finish, TokenDelta, TokenRequest

if TYPE_CHECKING:
    from mcp_llama.engine.generation import Generation


@dataclass(slots=True, eq=False)
class Slot:
    """One sequence of the KV cache. A free slot holds the state of `tokens`, for reuse."""

    id: int
    tokens: list[int] = field(default_factory=list[int])
    sequence: "Sequence | None" = None
    last_used: int = 0


class Sequence:
    """A request while it runs.

    `tokens` is prompt plus completion; the first `num_computed_tokens` have their KV. `suspect_tokens` is how far it
    would have come in a batch that failed. `forced` are tokens that come next, where each needs the logits before it.
    `uncut_tokens` counts those that were computed before, but could not be reused. `reported_tokens` is what its
    reader knows to be computed. `unsent` is the text of a request that is answered whole.
    """

    __slots__ = (
        "admitted", "cached_tokens", "detokenizer", "first_token", "forced", "generation", "last_token", "logprobs",
        "num_computed_tokens", "order", "paused_since", "reasoning", "reported_tokens", "request", "sampler", "slot",
        "suspect_tokens", "tokens", "uncut_tokens", "unsent",
    )  # fmt: skip

    def __init__(self, request: TokenRequest, generation: "Generation") -> None:
        self.request = request
        self.generation = generation
        self.tokens = list(request.prompt)
        self.num_computed_tokens = 0
        self.reported_tokens = 0
        self.cached_tokens = 0
        self.slot: Slot | None = None
        self.sampler: Sampler | None = None
        self.detokenizer = Detokenizer(request.stop)
        self.logprobs = HeldLogprobs()
        self.reasoning = None if request.reasoning is None else ReasoningSpan(request.reasoning)
        self.forced: deque[int] = deque()
        self.admitted: float | None = None
        self.first_token: float | None = None
        self.last_token: float | None = None
        self.paused_since: float | None = None
        self.suspect_tokens = 0
        self.uncut_tokens = 0
        self.unsent: list[str] = []
        self.order = 0

    @property
    def num_pending_tokens(self) -> int:
        """How many tokens wait to be computed; 1 when the sequence has caught up with its sampling."""
        return len(self.tokens) - self.num_computed_tokens

    @property
    def is_suspect(self) -> bool:
        """Whether its next rows were in a batch that failed: only alone can it show that the fault is not its own."""
        return self.num_computed_tokens < self.suspect_tokens

    @property
    def completion_tokens(self) -> int:
        """How many tokens were sampled or forced."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def is_full(self) -> bool:
        """Whether nothing may be added: it has all its tokens, or a stop string."""
        return self.completion_tokens >= self.request.max_tokens or self.detokenizer.matched is not None

    def delta(self, text: str = "", finish: Finish | None = None) -> TokenDelta:
        """The sequence's present state as a delta."""
        prompt = len(self.request.prompt)
        computed = prompt if self.completion_tokens else min(self.num_computed_tokens, prompt)
        # A sequence that was preempted computes its prompt again, which is no news.
        self.reported_tokens = max(self.reported_tokens, computed + self.completion_tokens)
        return TokenDelta(
            text,
            self.reported_tokens,
            self.completion_tokens,
            self.cached_tokens,
            self.admitted,
            self.first_token,
            finish,
            () if self.request.top_logprobs is None else self._certain_logprobs(finish),
            0 if self.reasoning is None else self.reasoning.tokens,
        )

    def finish(self, reason: FinishReason, error: Exception | None = None) -> Finish:
        """The record of an end that comes now."""
        matched = self.detokenizer.matched
        return Finish(reason, matched, time.monotonic(), error, self.uncut_tokens)

    def _certain_logprobs(self, finish: Finish | None) -> tuple[TokenLogprob, ...]:
        # What a stop string took away has no log probabilities either.
        if finish is not None and self.detokenizer.matched is None:
            return self.logprobs.release_all()
        return self.logprobs.release(self.detokenizer.returned)
