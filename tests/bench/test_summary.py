from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.bench.record import Spread
from mcp_llama.bench.summary import Range, ratio_of, spread_of, summarise
from tests.bench.rounds import spread, turn

VALUES = st.floats(0.001, 1e6)
ROUNDS = st.dictionaries(st.integers(1, 9), VALUES)


@given(st.lists(VALUES, min_size=1))
def test_a_range_holds_all_values_and_half_of_them_on_each_side(values: list[float]) -> None:
    found = spread_of(values)
    assert found is not None
    assert (found.low, found.high) == (min(values), max(values))
    assert found.median == median(values)


def test_of_no_values_there_is_no_range() -> None:
    assert spread_of([]) is None


@given(ROUNDS, st.floats(0.1, 10))
def test_a_constant_factor_is_found_however_the_machine_changes(theirs: dict[int, float], factor: float) -> None:
    found = ratio_of({number: value * factor for number, value in theirs.items()}, theirs)
    if not theirs:
        assert found is None
        return
    assert found is not None
    assert max(abs(found.low - factor), abs(found.median - factor), abs(found.high - factor)) < 1e-9 * factor


@given(ROUNDS, ROUNDS)
def test_only_values_of_the_same_round_are_compared(ours: dict[int, float], theirs: dict[int, float]) -> None:
    pairs = [ours[number] / theirs[number] for number in ours.keys() & theirs.keys()]
    assert ratio_of(ours, theirs) == (spread_of(pairs) if pairs else None)


def test_a_round_without_any_token_is_no_divisor() -> None:
    assert ratio_of({1: 5.0, 2: 6.0}, {1: 0.0, 2: 3.0}) == Range(median=2, low=2, high=2)


def test_the_ratio_is_the_median_of_pairs_not_the_ratio_of_medians() -> None:
    raw, ours = (100.0, 10.0, 40.0), (50.0, 10.0, 30.0)
    turns = [turn("raw", rate, round=n) for n, rate in enumerate(raw)]
    turns += [turn("v1", rate, round=n) for n, rate in enumerate(ours)]
    _, row = summarise(turns)
    ratio = row.ratios["raw"]
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((0.75, 0.5, 1.0))
    assert (row.rate.median, row.rate.low, row.rate.high) == pytest.approx((30, 10, 50))
    assert row.rounds == 3


def test_ours_are_compared_with_raw_and_rivals_and_rivals_with_raw_only() -> None:
    rows = summarise([turn("raw", 100), turn("v1", 80), turn("ollama", 40)], ["ollama"])
    assert {row.target: {name: ratio.median for name, ratio in row.ratios.items()} for row in rows} == {
        "raw": {},
        "v1": {"raw": 0.8, "ollama": 2.0},
        "ollama": {"raw": 0.4},
    }


def test_only_the_same_workload_and_number_of_streams_are_compared() -> None:
    rows = summarise([turn("raw", streams=2), turn("v1", streams=1), turn("raw", workload="json")])
    assert [row.ratios for row in rows] == [{}, {}, {}]


def test_a_target_that_failed_at_first_keeps_its_place() -> None:
    turns = [turn("raw", streams=2), turn("v1", streams=2), turn("raw", workload="shared", streams=8)]
    turns += [turn("v1", round=2), turn("raw", round=2)]
    assert [(row.workload, row.streams, row.target) for row in summarise(turns)] == [
        ("unique", 1, "raw"),
        ("unique", 1, "v1"),
        ("unique", 2, "raw"),
        ("unique", 2, "v1"),
        ("shared", 8, "raw"),
    ]


def test_latencies_are_medians_but_the_worst_is_the_worst_of_all() -> None:
    itls = (spread(0.03), None, spread(0.01), spread(0.02))
    (row,) = summarise(turn(round=n, itl=itl, ttft=None, freed=itl, cold_ttft=itl) for n, itl in enumerate(itls))
    assert row.itl == row.freed == row.cold_ttft == Spread(p50=0.02, p95=0.04, p99=0.06, max=0.12)
    assert row.ttft is None


def test_times_and_counts_are_medians_and_memory_is_the_peak() -> None:
    (row,) = summarise(
        turn(
            rate=1000 / seconds,
            round=seconds,
            cpu_s=seconds / 1000,
            peak_memory=seconds,
            prompt_ttft=seconds / 10,
            cached_tokens=seconds * 7,
            prompt_tokens=seconds * 9,
        )
        for seconds in (1, 2, 6)
    )
    assert (row.seconds, row.cpu_us_per_token, row.peak_memory, row.prompt_ttft) == (2, 2.0, 6, 0.2)
    assert (row.cached_tokens, row.prompt_tokens) == (14, 18)


def test_what_nobody_measured_stays_unknown() -> None:
    (row,) = summarise([turn(ttft=None, itl=None), turn(ttft=None, itl=None, round=2, tokens=0, cpu_s=1.0)])
    unknown = (row.ttft, row.itl, row.freed, row.cpu_us_per_token, row.peak_memory, row.prompt_ttft)
    assert unknown == (None,) * 6


def test_no_processor_time_at_all_is_not_unknown() -> None:
    (row,) = summarise([turn(cpu_s=0.0)])
    assert row.cpu_us_per_token == 0
