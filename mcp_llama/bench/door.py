"""Door: how a client process reaches a server, and what it notes of each job until all have ended."""

from dataclasses import dataclass, field
from typing import Protocol

from mcp_llama.bench.http_wire import Piece
from mcp_llama.bench.job import Answer, Job


@dataclass(slots=True)
class Record:
    """What was seen of one job."""

    sent: float
    pieces: list[Piece] = field(default_factory=list[Piece])
    cancelled: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class News:
    """What came of one job at once."""

    number: int
    events: int = 0
    ended: bool = False


def unanswered(record: Record | None, now: float) -> Answer | None:
    """The answer to a job that was not sent, not served or given up; None if what came is to be read."""
    if record is None:
        return Answer(sent=now, error="the server fell silent before the call began")
    if record.cancelled is None and record.error is None:
        return None
    return Answer(sent=record.sent, cancelled=record.cancelled, error=record.error)


class Door(Protocol):
    """Sends jobs, and reads what comes back. Nothing is parsed before the end but what a script has to know."""

    def send(self, number: int, job: Job) -> None:
        """Begin a job."""
        ...

    def cancel(self, number: int) -> None:
        """Give a job up."""
        ...

    def wait(self, timeout: float, *, count: bool) -> list[News] | None:
        """What came, or None after `timeout` seconds of silence; events are counted only if someone waits for them."""
        ...

    def answers(self, count: int) -> list[Answer]:
        """What came of the first jobs; the next batch begins anew."""
        ...
