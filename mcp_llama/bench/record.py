"""What a benchmark records: plain data, from the run to the table, the JSON and the plot."""

from dataclasses import dataclass
from typing import Literal

Workload = Literal["unique", "shared", "long", "cancel", "json"]
"""Unique prompts; one long system prompt for all; a long prompt among running streams; calls that are cancelled after
some tokens; JSON after a schema."""

RAW = "raw"
"""The target that is a bare loop over llama.cpp: the limit that the others are compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where it ran; memory in bytes."""

    cpu: str
    cores: int
    memory: int
    system: str
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What ran: the model file, by its SHA-256, and the build."""

    model: str
    description: str
    sha256: str
    size: int
    n_ctx: int
    n_slots: int
    n_threads: int
    build: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Percentiles of a latency, in seconds."""

    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One turn of one target: so many streams at once, all of one workload.

    `tokens` counts completion tokens, `seconds` is from the first request to the last token. `ttft` is over the
    streams, `itl` over the gaps between the tokens as they reach the client. `cpu_s` is the server's CPU time outside
    llama.cpp, `peak_memory` its resident bytes; None where it cannot be known. `prompt_ttft` is the long prompt's own,
    `freed` the times from a cancellation to the free slot. With one system prompt for all, `cold_ttft` is over the
    first questions, `ttft` over the second ones.
    """

    target: str
    workload: Workload
    streams: int
    round: int
    tokens: int
    prompt_tokens: int
    cached_tokens: int
    seconds: float
    ttft: Spread | None
    itl: Spread | None
    cpu_s: float | None = None
    peak_memory: int | None = None
    prompt_ttft: float | None = None
    freed: Spread | None = None
    cold_ttft: Spread | None = None

    @property
    def rate(self) -> float:
        """Tokens a second, all streams together."""
        return self.tokens / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole run. `failures` say what could not be measured, and why."""

    machine: Machine
    subject: Subject
    measurements: tuple[Measurement, ...]
    failures: tuple[str, ...] = ()
