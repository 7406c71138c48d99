"""Table: a report for people, 120 columns wide."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from mcp_llama.bench.grid import Column, lay_out, paragraph, shell_lines
from mcp_llama.bench.record import RAW, Machine, Report, Subject, Workload
from mcp_llama.bench.summary import Range, Row

_GIB = 2**30
_MIB = 2**20
_LONGEST_NAME = 16

TITLES: dict[Workload, str] = {
    "unique": "Unique prompts",
    "shared": "One long system prompt for all",
    "long": "A long prompt among running streams",
    "cancel": "Calls that are cancelled after some tokens",
    "json": "JSON after a schema",
}
_LEGEND = (
    "tok/s counts all streams together: the median of the rounds (lowest-highest). "
    "÷ is the median of the ratios within a round. TTFT is the time to the first token, ITL the gap between two "
    "tokens, CPU what the server takes outside llama.cpp."
)


@dataclass(frozen=True, slots=True)
class _Field:
    """A column of a workload: its heading, and the text of a row; empty where there is no value."""

    top: str
    bottom: str
    text: Callable[[Row], str]


def render(report: Report, rows: Sequence[Row], command: Sequence[str]) -> str:
    """The whole text; the command is the one that repeats the run."""
    parts = [_heading(report.machine, report.subject)]
    parts += [_section(workload, tuple(own)) for workload, own in groupby(rows, key=_workload)]
    parts += [paragraph(_LEGEND)] if rows else []
    parts += [_failures(report.failures)] if report.failures else []
    parts += [["To repeat it:", *shell_lines(command)]]
    return "\n\n".join("\n".join(part) for part in parts)


def _heading(machine: Machine, subject: Subject) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in subject.versions.items())
    facts = [
        ("Machine", f"{machine.cpu}, {machine.cores} cores, {machine.memory / _GIB:.1f} GiB, {machine.system}"),
        ("Model", f"{subject.model} ({subject.description}, {subject.size / _MIB:,.0f} MiB)"),
        ("SHA-256", subject.sha256),
        ("Loaded", f"{subject.n_slots} slots of {subject.n_ctx:,} tokens, {subject.n_threads} threads"),
        ("Versions", f"{versions}, Python {machine.python}"),
        ("Build", subject.build),
    ]
    return [line for name, text in facts for line in paragraph(f"{name:<10}{text}", " " * 10)]


def _section(workload: Workload, rows: Sequence[Row]) -> list[str]:
    rounds = max(row.rounds for row in rows)
    lines = [f"{TITLES[workload]} ({workload}), {rounds} {'round' if rounds == 1 else 'rounds'}", ""]
    lines += lay_out([*_who(rows), *(_column(field, rows) for field in _FIELDS[workload])])
    rivals = list(dict.fromkeys(name for row in rows for name in row.ratios if name != RAW))
    ours = [row for row in rows if set(row.ratios) - {RAW}]
    if ours:
        lines += ["", *lay_out([*_who(ours), *(_column(_over(name), ours) for name in rivals)])]
    return lines


def _workload(row: Row) -> Workload:
    return row.workload


def _who(rows: Sequence[Row]) -> tuple[Column, Column]:
    """The number of streams, where it changes, and the target."""
    before = [None, *(row.streams for row in rows)]
    streams = tuple(str(row.streams) if row.streams != last else "" for row, last in zip(rows, before, strict=False))
    names = tuple(_cut(row.target) for row in rows)
    return Column(heading=("", "streams"), cells=streams), Column(heading=("", "target"), cells=names, left=True)


def _column(field: _Field, rows: Sequence[Row]) -> Column:
    return Column(heading=(field.top, field.bottom), cells=tuple(field.text(row) for row in rows))


def _failures(failures: Sequence[str]) -> list[str]:
    return ["Failures:", *(line for failure in failures for line in paragraph(f"- {failure}", "  "))]


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _number(value: float | None) -> str:
    """Three digits or more."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}"


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else _number(seconds * 1000)


def _range(values: Range | None, text: Callable[[float], str]) -> str:
    if values is None:
        return ""
    if values.low == values.high:
        return text(values.median)
    return f"{text(values.median)} ({text(values.low)}-{text(values.high)})"


def _ratio(name: str) -> Callable[[Row], str]:
    return lambda row: _range(row.ratios.get(name), lambda value: f"{value:.2f}")


def _over(name: str) -> _Field:
    return _Field(f"÷ {_cut(name)}", "(range)", _ratio(name))


_SPEED = (
    _Field("tok/s", "(range)", lambda row: _range(row.rate, _number)),
    _Field("÷ raw", "(range)", _ratio(RAW)),
)
_EACH = (_Field("tok/s", "each", lambda row: _number(row.rate.median / row.streams)),)
_LATENCY = (
    _Field("TTFT", "ms", lambda row: _ms(row.ttft and row.ttft.p50)),
    _Field("ITL ms", "p50", lambda row: _ms(row.itl and row.itl.p50)),
    _Field("", "p95", lambda row: _ms(row.itl and row.itl.p95)),
    _Field("", "p99", lambda row: _ms(row.itl and row.itl.p99)),
)
_WORST = (_Field("", "max", lambda row: _ms(row.itl and row.itl.max)),)
_COST = (
    _Field("CPU µs", "/token", lambda row: _number(row.cpu_us_per_token)),
    _Field("memory", "MiB", lambda row: "" if row.peak_memory is None else f"{row.peak_memory / _MIB:.0f}"),
)
_TOTAL = (
    _Field("total", "s", lambda row: _number(row.seconds)),
    _Field("cached", "tokens", lambda row: str(row.cached_tokens) if row.cached_tokens else ""),
    _Field("cold", "TTFT ms", lambda row: _ms(row.cold_ttft and row.cold_ttft.p50)),
)
_LONG = (
    _Field("longest", "gap ms", lambda row: _ms(row.itl and row.itl.max)),
    _Field("long", "TTFT ms", lambda row: _ms(row.prompt_ttft)),
)
_FREED = (
    _Field("freed", "p50 ms", lambda row: _ms(row.freed and row.freed.p50)),
    _Field("freed", "p99 ms", lambda row: _ms(row.freed and row.freed.p99)),
)
_FIELDS: dict[Workload, tuple[_Field, ...]] = {
    "unique": (*_SPEED, *_EACH, *_LATENCY, *_WORST, *_COST),
    "shared": (*_SPEED, *_TOTAL, *_LATENCY, *_WORST, *_COST),
    "long": (*_SPEED, *_LATENCY, *_LONG, *_COST),
    "cancel": (*_FREED, *_SPEED, *_LATENCY, *_WORST, *_COST),
    "json": (*_SPEED, *_EACH, *_LATENCY, *_WORST, *_COST),
}
