"""Storm: calls that are cancelled in the queue, in their prompt or among their tokens, and those that wait for them.

All slots are taken all the time. Of each cancelled call a probe waits for the slot, and when the probe has ended,
another call takes it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mcp_llama.bench.job import ENDED, SENT, Answer, Job, When
from mcp_llama.bench.prompts import Prompts

TRIALS = 9
_PROBE_TOKENS = 2
_SHORT_WORDS = 24
_LONG_WORDS = 1000
_ROOM = 64
_KINDS = ("decoding", "queued", "prefill")
_LATEST_S = 0.1
_HEAD_START_S = 0.01


@dataclass(slots=True)
class Storm:
    """The jobs, and of each trial the call that gives its slot up and the one that gets it."""

    slots: int
    n_ctx: int
    prompts: Prompts
    chance: random.Random
    jobs: list[Job] = field(default_factory=list[Job])
    trials: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def build(self) -> None:
        """Write all of it."""
        holders = [self._holder(When()) for _ in range(self.slots)]
        for number in range(TRIALS):
            kind, place = _KINDS[number % len(_KINDS)], number // len(_KINDS) % self.slots
            others = [holder for index, holder in enumerate(holders) if index != place]
            probe = self._trial(kind, holders[place], others)
            after = When(((probe, ENDED),))
            is_next_in_prefill = _KINDS[(number + 1) % len(_KINDS)] == "prefill"
            holders[place] = self._holder(after, long=is_next_in_prefill)
        for holder in holders:
            self._cancel(holder, When(((self.trials[-1][1], ENDED),)))

    def freed(self, answers: Sequence[Answer]) -> list[float]:
        """From each cancellation to the slot of the call that waited for it, where both are known."""
        times: list[float] = []
        for held, probe in self.trials:
            cancelled = answers[held].cancelled
            admitted = answers[probe].admitted or answers[probe].arrivals[0]
            if cancelled is not None and admitted >= cancelled:
                times.append(admitted - cancelled)
        return times

    def _trial(self, kind: str, holder: int, others: Sequence[int]) -> int:
        # A call in its prompt has no token yet: that it was sent before the probe must do.
        own = SENT if kind == "prefill" else 1
        full = When((*((other, 1) for other in others), (holder, own)), _HEAD_START_S)
        before: tuple[tuple[int, int], ...] = ()
        if kind == "queued":
            queued = self._holder(full)
            self._cancel(queued, When(((queued, SENT),), self.chance.uniform(0, _LATEST_S)))
            before, full = ((queued, ENDED),), When(((queued, SENT),), _HEAD_START_S)
        probe = self._add(Job(prompt=self._text(_SHORT_WORDS), max_tokens=_PROBE_TOKENS, seed=1, start=full))
        self._cancel(holder, When((*before, (probe, SENT)), self.chance.uniform(_HEAD_START_S, _LATEST_S)))
        self.trials.append((holder, probe))
        return probe

    def _holder(self, start: When, *, long: bool = False) -> int:
        words = min(_LONG_WORDS, self.n_ctx // 2) if long else _SHORT_WORDS
        text = self._text(words)
        return self._add(Job(prompt=text, max_tokens=self.n_ctx - words - _ROOM, seed=1, start=start))

    def _text(self, words: int) -> str:
        return self.prompts.text(words)

    def _add(self, job: Job) -> int:
        self.jobs.append(replace(job, seed=len(self.jobs) + 1))
        return len(self.jobs) - 1

    def _cancel(self, number: int, when: When) -> None:
        self.jobs[number] = replace(self.jobs[number], cancel=when)
