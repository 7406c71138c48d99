"""Summary: what many rounds say together. Pure arithmetic over measurements."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from mcp_llama.bench.record import RAW, Measurement, Spread, Workload

_MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The median of several values, and their ends."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All rounds of one target under one workload with so many streams.

    `rate` is tokens a second, all streams together. `ratios` has this rate over that of the raw loop and of each other
    server, by their names: the median of the ratios within a round, because the machine's own speed changes from
    round to round. Times are seconds: medians over the rounds, but `max` is the worst of all.
    `cpu_us_per_token` is microseconds of CPU outside llama.cpp.
    """

    workload: Workload
    streams: int
    target: str
    rounds: int
    rate: Range
    ratios: dict[str, Range]
    seconds: float
    ttft: Spread | None
    itl: Spread | None
    cpu_us_per_token: float | None
    peak_memory: int | None
    prompt_tokens: int
    cached_tokens: int
    prompt_ttft: float | None
    freed: Spread | None
    cold_ttft: Spread | None


def summarise(measurements: Iterable[Measurement], rivals: Iterable[str] = ()) -> tuple[Row, ...]:
    """One row for each workload, number of streams and target.

    Workloads and targets come in the order in which they first ran, the streams by their number. `rivals` are the
    other servers: all are compared with the raw loop, and ours with the rivals.
    """
    turns = tuple(measurements)
    workloads = list(dict.fromkeys(one.workload for one in turns))
    targets = list(dict.fromkeys(one.target for one in turns))
    groups: dict[tuple[int, int], dict[str, list[Measurement]]] = {}
    for one in sorted(turns, key=lambda one: targets.index(one.target)):
        own = groups.setdefault((workloads.index(one.workload), one.streams), {})
        own.setdefault(one.target, []).append(one)
    known = tuple(rivals)
    return tuple(
        _row(own, {name: group[name] for name in _compared_with(target, known) if name in group})
        for _, group in sorted(groups.items(), key=lambda item: item[0])
        for target, own in group.items()
    )


def _compared_with(target: str, rivals: tuple[str, ...]) -> tuple[str, ...]:
    if target == RAW:
        return ()
    return (RAW,) if target in rivals else (RAW, *rivals)


def spread_of(values: Iterable[float]) -> Range | None:
    """The median and the ends of some values; None if there are none."""
    found = sorted(values)
    return Range(median=median(found), low=found[0], high=found[-1]) if found else None


def ratio_of(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Range | None:
    """Ours over theirs by round: only values of the same round are compared."""
    return spread_of(value / theirs[number] for number, value in ours.items() if theirs.get(number))


def _row(own: list[Measurement], others: Mapping[str, list[Measurement]]) -> Row:
    first = own[0]
    rate = spread_of(one.rate for one in own)
    assert rate is not None
    ratios = {name: ratio_of(_rates(own), _rates(other)) for name, other in others.items()}
    cpu = spread_of(one.cpu_s / one.tokens * _MICROSECONDS for one in own if one.cpu_s is not None and one.tokens)
    return Row(
        workload=first.workload,
        streams=first.streams,
        target=first.target,
        rounds=len(own),
        rate=rate,
        ratios={name: ratio for name, ratio in ratios.items() if ratio is not None},
        seconds=median(one.seconds for one in own),
        ttft=_typical(one.ttft for one in own),
        itl=_typical(one.itl for one in own),
        cpu_us_per_token=cpu and cpu.median,
        peak_memory=max((one.peak_memory for one in own if one.peak_memory is not None), default=None),
        prompt_tokens=round(median(one.prompt_tokens for one in own)),
        cached_tokens=round(median(one.cached_tokens for one in own)),
        prompt_ttft=_middle(one.prompt_ttft for one in own),
        freed=_typical(one.freed for one in own),
        cold_ttft=_typical(one.cold_ttft for one in own),
    )


def _rates(turns: Iterable[Measurement]) -> dict[int, float]:
    return {one.round: one.rate for one in turns}


def _middle(values: Iterable[float | None]) -> float | None:
    found = spread_of(value for value in values if value is not None)
    return found and found.median


def _typical(spreads: Iterable[Spread | None]) -> Spread | None:
    found = [spread for spread in spreads if spread is not None]
    if not found:
        return None
    return Spread(
        p50=median(spread.p50 for spread in found),
        p95=median(spread.p95 for spread in found),
        p99=median(spread.p99 for spread in found),
        max=max(spread.max for spread in found),
    )
