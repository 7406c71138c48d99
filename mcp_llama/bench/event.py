"""Events: what a run tells while it goes on."""

from dataclasses import dataclass

from mcp_llama.bench.record import Measurement, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One target under one workload, with so many streams; rounds count from 1."""

    target: str
    workload: Workload
    streams: int
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A turn that begins, or how it ended: with a measurement or with a failure.

    Of `total` turns, which does not change within a run, `done` have ended.
    """

    turn: Turn
    done: int
    total: int
    measurement: Measurement | None = None
    failure: str | None = None

    @property
    def begins(self) -> bool:
        """Whether the turn begins here."""
        return self.measurement is None and self.failure is None
