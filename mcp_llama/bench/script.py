"""Script: which job of a batch is to start or to be cancelled now, by how far the others are."""

from collections.abc import Sequence
from typing import Literal

from mcp_llama.bench.job import ENDED, SENT, Job, When

Action = Literal["start", "cancel"]


class Script:
    """Follows the jobs of one batch."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._sent = [False] * len(jobs)
        self._events = [0] * len(jobs)
        self._ended = [False] * len(jobs)
        self._waiting: dict[tuple[Action, int], When] = {
            ("start", number): job.start for number, job in enumerate(jobs)
        }
        self._cancels = {number: job.cancel for number, job in enumerate(jobs) if job.cancel is not None}
        self._due: dict[tuple[Action, int], float] = {}

    @property
    def is_over(self) -> bool:
        """Whether every job has ended."""
        return all(self._ended)

    @property
    def is_settled(self) -> bool:
        """Whether nothing waits for an event of a job any more."""
        return not self._waiting and not self._cancels

    def sent(self, number: int) -> None:
        """A job began."""
        self._sent[number] = True
        if number in self._cancels:
            self._waiting["cancel", number] = self._cancels.pop(number)

    def heard(self, number: int, events: int) -> None:
        """So many more events of a job came."""
        self._events[number] += events

    def ended(self, number: int) -> None:
        """A job ended."""
        self._ended[number] = True
        self._waiting.pop(("cancel", number), None)
        self._due.pop(("cancel", number), None)

    def actions(self, now: float) -> list[tuple[Action, int]]:
        """What is to be done now; it is told once."""
        for key, when in list(self._waiting.items()):
            if all(self._reached(number, mark) for number, mark in when.marks):
                self._due[key] = now + when.delay
                del self._waiting[key]
        ready = [key for key, moment in self._due.items() if moment <= now]
        for key in ready:
            del self._due[key]
        return ready

    def next_action(self) -> float | None:
        """When something is to be done though no event comes, or None."""
        return min(self._due.values(), default=None)

    def _reached(self, number: int, mark: int) -> bool:
        if self._ended[number]:
            return True
        if mark == SENT:
            return self._sent[number]
        return mark != ENDED and self._events[number] >= mark
