"""Yield: what one or more batches of a turn come to, on the way to its measurement."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mcp_llama.bench.event import Turn
from mcp_llama.bench.failure import TurnError
from mcp_llama.bench.job import Answer, Usage
from mcp_llama.bench.record import Measurement, Spread
from mcp_llama.bench.spread import gaps, spread
from mcp_llama.bench.target import Outcome


@dataclass(frozen=True, slots=True)
class Yield:
    """The outcomes of a turn's batches, in their order; all their answers are complete."""

    turn: Turn
    outcomes: tuple[Outcome, ...]

    def measurement(
        self,
        *,
        ttft: Spread | None,
        itl_of: Sequence[Answer],
        others: Iterable[Outcome] = (),
        cold_ttft: Spread | None = None,
        prompt_ttft: float | None = None,
        freed: Spread | None = None,
    ) -> Measurement:
        """The measurement. `others` are outcomes whose tokens do not count, only what they took."""
        answers = [answer for outcome in self.outcomes for answer in outcome.answers]
        usages = [usage_of(answer) for answer in answers]
        taken = (*self.outcomes, *others)
        return Measurement(
            target=self.turn.target,
            workload=self.turn.workload,
            streams=self.turn.streams,
            round=self.turn.round,
            tokens=sum(usage.completion for usage in usages),
            prompt_tokens=sum(usage.prompt for usage in usages),
            cached_tokens=sum(usage.cached for usage in usages),
            seconds=sum(_seconds(outcome.answers) for outcome in self.outcomes),
            ttft=ttft,
            itl=spread(gap for answer in itl_of for gap in gaps(answer.arrivals)),
            cpu_s=_sum(outcome.cpu_s for outcome in taken),
            peak_memory=max((outcome.peak_memory for outcome in taken if outcome.peak_memory), default=None),
            cold_ttft=cold_ttft,
            prompt_ttft=prompt_ttft,
            freed=freed,
        )


def checked(outcome: Outcome) -> Outcome:
    """The outcome, if every call that was not cancelled came to its end.

    Raises:
        TurnError: one did not.
    """
    for answer in outcome.answers:
        if answer.error is not None:
            raise TurnError(answer.error)
        if answer.cancelled is None and not answer.arrivals:
            raise TurnError("a call ended without a token")
    return outcome


def usage_of(answer: Answer) -> Usage:
    """The tokens of a complete answer."""
    assert answer.usage is not None, "a complete answer has its usage, or an error"
    return answer.usage


def first_token_s(answer: Answer) -> float:
    """From the call to its first token."""
    return answer.arrivals[0] - answer.sent


def _seconds(answers: Sequence[Answer]) -> float:
    return max(answer.arrivals[-1] for answer in answers) - min(answer.sent for answer in answers)


def _sum(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)
