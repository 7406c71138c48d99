"""Job and Answer: what a worker process is given to do, and what it saw, as lines of JSON."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

SENT = 0
"""The mark of a job that was sent; a positive mark is a number of events that it has heard."""
ENDED = -1
"""The mark of a job that ended in any way."""


@dataclass(frozen=True, slots=True)
class When:
    """A moment in a batch: `delay` seconds after each of the marks, a job's number and what it must have reached."""

    marks: tuple[tuple[int, int], ...] = ()
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call. Without a schema its completion has all of `max_tokens`, whatever the model would like."""

    prompt: str
    max_tokens: int
    seed: int
    schema: dict[str, Any] | None = None
    start: When = When()
    cancel: When | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens, as the server counts them."""

    prompt: int
    completion: int
    cached: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a job; times are seconds of one clock. `admitted` is when it got its slot, where that is known."""

    sent: float
    arrivals: tuple[float, ...] = ()
    text: str = ""
    usage: Usage | None = None
    admitted: float | None = None
    cancelled: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The answers to some jobs. `cpu_s` is the CPU time outside llama.cpp, where the worker itself is measured."""

    answers: tuple[Answer, ...]
    cpu_s: float | None = None


def jobs_line(jobs: Iterable[Job]) -> bytes:
    """Jobs as a line."""
    return _line([asdict(job) for job in jobs])


def read_jobs(line: bytes) -> tuple[Job, ...]:
    """The jobs of a line."""
    return tuple(_job(**fields) for fields in json.loads(line))


def batch_line(batch: Batch) -> bytes:
    """A batch as a line."""
    return _line(asdict(batch))


def read_batch(line: bytes) -> Batch:
    """The batch of a line."""
    fields = json.loads(line)
    return Batch(answers=tuple(_answer(**answer) for answer in fields["answers"]), cpu_s=fields["cpu_s"])


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _job(start: dict[str, Any], cancel: dict[str, Any] | None, **fields: Any) -> Job:
    return Job(start=_when(**start), cancel=None if cancel is None else _when(**cancel), **fields)


def _when(marks: list[list[int]], delay: float) -> When:
    return When(tuple((number, mark) for number, mark in marks), delay)


def _answer(arrivals: list[float], usage: dict[str, int] | None, **fields: Any) -> Answer:
    return Answer(arrivals=tuple(arrivals), usage=None if usage is None else Usage(**usage), **fields)
