"""Percentiles."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from mcp_llama.bench.record import Spread


def spread(values: Iterable[float]) -> Spread | None:
    """The percentiles of some values, each one of them (the nearest rank); None if there are none."""
    ranked = sorted(values)
    if not ranked:
        return None
    return Spread(p50=_rank(ranked, 50), p95=_rank(ranked, 95), p99=_rank(ranked, 99), max=ranked[-1])


def gaps(times: Sequence[float]) -> list[float]:
    """What lies between each two."""
    return [later - earlier for earlier, later in pairwise(times)]


def _rank(ranked: Sequence[float], percent: int) -> float:
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)]
