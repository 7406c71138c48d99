"""How many prompt rows a step takes, by how long steps take."""

from collections.abc import Callable
from functools import partial
from operator import mul

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.engine.pace import Pace

TARGET = 0.1
FIRST, LEAST = 32, 16


def rows_after(pace: Pace, cost: Callable[[int], float], steps: int, caught_up: int = 0, n_batch: int = 10_000) -> int:
    """The prompt rows of a step after so many steps whose time depends on their rows."""
    for _ in range(steps):
        prompt_rows = min(n_batch, pace.prompt_rows(caught_up))
        pace.note(caught_up + prompt_rows, prompt_rows, cost(caught_up + prompt_rows))
    return pace.prompt_rows(caught_up)


@pytest.mark.parametrize("caught_up", [0, 1, 16, 100])
def test_before_anything_is_known_a_step_takes_a_fixed_number_of_prompt_rows(caught_up: int) -> None:
    assert Pace(TARGET).prompt_rows(caught_up) == FIRST


@given(st.floats(0, 0.08), st.floats(1e-5, 1e-3), st.integers(0, 8))
def test_the_prompt_rows_of_a_step_come_to_take_the_target_time(fixed: float, per_row: float, caught_up: int) -> None:
    def cost(rows: int) -> float:
        return fixed + per_row * rows

    rows = rows_after(Pace(TARGET), cost, 60, caught_up)
    share = rows / (rows + caught_up) * cost(rows + caught_up)
    assert rows == LEAST or share == pytest.approx(TARGET, rel=0.05, abs=2 * per_row)
    if rows == LEAST:
        assert share > TARGET - 3 * per_row


@given(st.lists(st.tuples(st.integers(LEAST, 512), st.floats(0, 1e6)), max_size=12), st.integers(0, 64))
def test_prompts_always_get_rows(steps: list[tuple[int, float]], caught_up: int) -> None:
    pace = Pace(TARGET)
    for rows, seconds in steps:
        pace.note(rows, rows, seconds)
    assert pace.prompt_rows(caught_up) >= max(LEAST, caught_up if steps else 0)


def test_a_slow_machine_takes_the_least_and_a_faster_one_more() -> None:
    assert rows_after(Pace(TARGET), lambda rows: rows * 0.1, 5) == LEAST
    assert rows_after(Pace(TARGET), lambda rows: rows * 0.001, 20) == 100


def test_a_step_that_was_slow_by_chance_is_made_up_for() -> None:
    pace = Pace(TARGET)
    rows_after(pace, lambda rows: rows * 0.001, 20)
    pace.note(100, 100, 60.0)
    assert pace.prompt_rows(0) == LEAST
    assert rows_after(pace, lambda rows: rows * 0.001, 40) == pytest.approx(100, abs=1)


def test_steps_get_shorter_while_a_row_gets_dearer() -> None:
    pace = Pace(TARGET)
    prices = (0.0005, 0.001, 0.002, 0.004)
    seen = [rows_after(pace, partial(mul, per_row), 10) for per_row in prices]
    assert seen == pytest.approx([200, 100, 50, 25], abs=1)


def test_the_rows_of_those_who_caught_up_do_not_count() -> None:
    pace = Pace(TARGET)
    pace.note(100, 100, 0.1)
    assert [pace.prompt_rows(caught_up) for caught_up in (0, 1, 40)] == [100, 100, 100]


def test_beside_many_who_caught_up_prompts_get_as_many_rows() -> None:
    pace = Pace(TARGET)
    pace.note(100, 100, 0.1)
    assert [pace.prompt_rows(caught_up) for caught_up in (50, 164, 200)] == [100, 164, 200]


@pytest.mark.parametrize(
    ("caught_up", "behind", "rows"),
    [(1, 1, 100), (4, 2, 100), (4, 6, 150), (1, 2, 200), (1, 10, 400), (4, 40, 400)],
)
def test_where_more_wait_for_their_first_token_they_get_up_to_four_times_as_long(
    caught_up: int, behind: int, rows: int
) -> None:
    pace = Pace(TARGET)
    pace.note(100, 100, 0.1)
    assert pace.prompt_rows(caught_up, behind) == pytest.approx(rows, abs=1)


def test_the_last_step_counts_for_half() -> None:
    pace = Pace(TARGET)
    pace.note(100, 100, 0.1)
    pace.note(100, 100, 0.3)
    assert pace.prompt_rows(0) == 50


def test_a_step_with_few_prompt_rows_says_nothing() -> None:
    pace = Pace(TARGET)
    pace.note(LEAST - 1, LEAST - 1, 5.0)
    assert pace.prompt_rows(0) == FIRST
    pace.note(LEAST, LEAST, TARGET)
    assert pace.prompt_rows(0) == LEAST


def test_a_clock_that_stands_still_harms_nothing() -> None:
    pace = Pace(TARGET)
    assert rows_after(pace, lambda rows: 0.0, 5) > 10_000
    assert rows_after(pace, lambda rows: rows * 0.001, 30) == pytest.approx(100, abs=1)
