"""How prompts share the rows of a batch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.engine.scheduler import Scheduler
from mcp_llama.engine.sequence import Sequence
from tests.engine.sequences import sequence
from tests.engine.test_scheduler import ALL, catch_up, scheduler


def counts(scheduled: Scheduler, prompt_rows: int, *owners: Sequence) -> list[int]:
    """How many rows of the next batch each gets."""
    found = {owner: count for owner, count, _ in scheduled.schedule(prompt_rows).parts}
    assert set(found) <= set(owners)
    return [found.get(owner, 0) for owner in owners]


def prompts(*lengths: int) -> list[Sequence]:
    """Prompts of these lengths, which share nothing."""
    return [sequence([33 + index] * length) for index, length in enumerate(lengths)]


@pytest.mark.parametrize(
    ("lengths", "rows", "expected"),
    [
        ((50,), 20, [20]),
        ((50, 50), 20, [20, 0]),
        ((50, 49), 20, [10, 10]),
        ((50, 4), 20, [16, 4]),
        ((4, 50), 20, [4, 16]),
        ((50, 30, 6, 3), 20, [10, 1, 6, 3]),
        ((12, 50, 50), 20, [12, 8, 0]),
        ((50, 40, 30), 21, [11, 0, 10]),
        ((50, 9), 1, [1, 0]),
    ],
)
def test_the_oldest_prompt_gets_half_and_those_with_least_left_the_rest(
    lengths: tuple[int, ...], rows: int, expected: list[int]
) -> None:
    owners = prompts(*lengths)
    assert counts(scheduler(*owners, n_batch=rows), ALL, *owners) == expected


def test_what_is_left_counts_and_not_how_long_a_prompt_is() -> None:
    a, b, c = prompts(90, 60, 50)
    scheduled = scheduler(a, b, c, n_batch=20)
    scheduled.cache.advance(b, 55)
    assert counts(scheduled, ALL, a, b, c) == [10, 5, 5]


def test_beside_those_that_caught_up_prompts_get_the_rows_they_are_given() -> None:
    a, b, c, d = prompts(10, 90, 10, 80)
    scheduled = catch_up(scheduler(a, b, c, d, n_batch=64), a, c)
    assert counts(scheduled, 8, a, b, c, d) == [1, 4, 1, 4]
    assert counts(scheduled, ALL, a, b, c, d) == [1, 31, 1, 31]


def test_alone_prompts_get_the_whole_batch() -> None:
    a, b = prompts(90, 80)
    assert counts(scheduler(a, b, n_batch=64), 8, a, b) == [32, 32]


def test_paused_sequences_that_caught_up_do_not_limit_prompts() -> None:
    a, b = prompts(10, 90)
    scheduled = catch_up(scheduler(a, b, n_batch=64), a)
    a.paused_since = 1.0
    assert counts(scheduled, 8, a, b) == [0, 64]


def test_forced_tokens_come_before_prompts() -> None:
    a, b, c = prompts(90, 10, 20)
    scheduled = catch_up(scheduler(a, b, c, n_batch=16), b)
    scheduled.cache.advance(b, 1)
    b.tokens += [1] * 6
    assert counts(scheduled, ALL, a, b, c) == [5, 6, 5]
    b.tokens += [1] * 20
    assert counts(scheduled, ALL, a, b, c) == [0, 16, 0]


@given(st.lists(st.integers(2, 60), min_size=1, max_size=4), st.integers(1, 40), st.booleans())
def test_no_row_is_left_over_while_a_prompt_waits_and_none_starves(
    lengths: list[int], rows: int, has_neighbour: bool
) -> None:
    owners = prompts(*lengths)
    neighbour = sequence([20, 20])
    scheduled = scheduler(neighbour, *owners, n_slots=5, n_batch=rows + 5)
    if has_neighbour:
        catch_up(scheduled, neighbour)
    else:
        scheduled.remove(neighbour)
    for _ in range(sum(lengths) + 5):
        behind = [owner for owner in owners if owner.num_pending_tokens > 1]
        if not behind:
            break
        caught_up = any(s.num_pending_tokens == 1 for s in scheduled.running)
        room = rows if caught_up else rows + 5
        left = {owner: owner.num_pending_tokens for owner in behind}
        batch = scheduled.schedule(rows)
        given = {owner: count for owner, count, _ in batch.parts if owner in left}
        assert sum(given.values()) == min(room, sum(left.values()))
        assert given.get(behind[0], 0) >= min(left[behind[0]], room / 2)
        for owner, count in given.items():
            scheduled.cache.advance(owner, min(count, left[owner] - 1))
    assert all(owner.num_pending_tokens == 1 for owner in owners)
