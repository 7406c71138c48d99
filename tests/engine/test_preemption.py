"""Who gets cells where they run out."""

from mcp_llama.engine.prefix_cache import PrefixCache
from mcp_llama.engine.scheduler import Scheduler
from mcp_llama.engine.sequence import Sequence
from tests.engine.caches import memory
from tests.engine.sequences import sequence
from tests.engine.test_scheduler import ALL, catch_up, shares

POOL = 60


def scheduler(*sequences: Sequence, n_slots: int = 3) -> Scheduler:
    """A scheduler that runs these sequences in a pool."""
    scheduler = Scheduler(PrefixCache(memory(n_slots, n_ctx=POOL, n_cells=POOL)), 64)
    for each in sequences:
        scheduler.add(each)
    while scheduler.admit() is not None:
        pass
    assert scheduler.running == list(sequences)
    return scheduler


def forced(scheduled: Scheduler, owner: Sequence, count: int) -> None:
    """So many tokens follow a prompt at once."""
    scheduled.cache.advance(owner, owner.num_pending_tokens)
    owner.tokens += [1] * count


def test_the_newest_goes_back_to_wait_and_its_rows_and_cells_are_free() -> None:
    a, b, c = sequence("a" * 20, 2), sequence("b" * 4, 8), sequence("c" * 20, 2)
    scheduled = catch_up(scheduler(a, b, c), a, c)
    forced(scheduled, b, POOL - 19 - 4 - 1)
    assert shares(scheduled.schedule(ALL)) == [(a, 1), (b, POOL - 19 - 4 - 1)]
    assert (scheduled.running, list(scheduled.waiting), scheduled.preemptions) == ([a, b], [c], 1)
    assert (c.slot, c.num_computed_tokens) == (None, 0)


def test_no_more_are_preempted_than_need_be() -> None:
    a, b, c, d = sequence("a" * 4, 8), sequence("b" * 9, 2), sequence("c" * 9, 2), sequence("d" * 9, 2)
    scheduled = catch_up(scheduler(a, b, c, d, n_slots=4), b, c, d)
    forced(scheduled, a, POOL - 4 - 8 - 8 - 2)
    scheduled.schedule(ALL)
    assert (scheduled.running, scheduled.preemptions) == ([a, b, c], 1)


def test_the_newest_gets_the_cells_that_are_left() -> None:
    a, b = sequence("a" * 20, 2), sequence("b" * 4, 8)
    scheduled = catch_up(scheduler(a, b), a)
    forced(scheduled, b, 50)
    left = POOL - 19 - 4 - 1
    assert shares(scheduled.schedule(ALL)) == [(a, 1), (b, left)]
    assert scheduled.preemptions == 0


def test_without_a_cell_the_newest_gets_no_row_and_keeps_its_own() -> None:
    a, b = sequence("a" * 20, 2), sequence("b" * 4, 8)
    scheduled = catch_up(scheduler(a, b), a)
    forced(scheduled, b, POOL - 19 - 4)
    scheduled.cache.advance(b, POOL - 19 - 4)
    a.paused_since = 1.0
    b.tokens += [1]
    assert not scheduled.schedule(ALL).parts
    assert (scheduled.running, scheduled.preemptions) == ([a, b], 0)
    a.paused_since = None
    assert shares(scheduled.schedule(ALL)) == [(a, 1)]
    assert list(scheduled.waiting) == [b]


def test_one_that_was_preempted_comes_before_those_that_arrived_later() -> None:
    a, b = sequence("a" * 20, 2), sequence("b" * 4, 8)
    late = sequence("late" * 10, 8)
    scheduled = catch_up(scheduler(a, b), a)
    scheduled.add(late)
    assert scheduled.admit() is None
    forced(scheduled, b, POOL - 19 - 4)
    scheduled.cache.advance(b, POOL - 19 - 4)
    b.tokens += [1]
    scheduled.schedule(ALL)
    assert list(scheduled.waiting) == [b, late]


def test_one_that_was_preempted_comes_after_those_that_arrived_earlier() -> None:
    early, a, b = sequence("early", 2), sequence("a" * 20, 2), sequence("b" * 4, 8)
    early.paused_since = 1.0
    scheduled = Scheduler(PrefixCache(memory(3, n_ctx=POOL, n_cells=POOL)), 64)
    for each in (early, a, b):
        scheduled.add(each)
        scheduled.admit()
    catch_up(scheduled, a)
    forced(scheduled, b, POOL - 19 - 4)
    scheduled.cache.advance(b, POOL - 19 - 4)
    b.tokens += [1]
    scheduled.schedule(ALL)
    assert list(scheduled.waiting) == [early, b]


def test_cached_prefixes_go_before_anyone_is_preempted() -> None:
    a, b, c = sequence("a" * 20, 2), sequence("b" * 4, 8), sequence("c" * 20, 2)
    scheduled = catch_up(scheduler(a, b, c), a, c)
    scheduled.remove(a)
    forced(scheduled, b, 30)
    assert shares(scheduled.schedule(ALL)) == [(b, 30), (c, 1)]
    assert scheduled.preemptions == 0


def test_one_whose_tokens_do_not_fit_beside_what_others_still_need_waits() -> None:
    a = sequence("a" * 30, 8)
    scheduled = scheduler(a)
    big, small = sequence("b" * 15, 8), sequence("c" * 14, 8)
    scheduled.add(big)
    assert scheduled.admit() is None
    scheduled.remove(big)
    scheduled.add(small)
    admitted = scheduled.admit()
    assert admitted is not None
    assert admitted[0] is small


def test_one_that_waits_for_room_is_not_overtaken() -> None:
    a = sequence("a" * 30, 8)
    scheduled = scheduler(a)
    big, small = sequence("b" * 20, 8), sequence("c", 1)
    scheduled.add(big)
    scheduled.add(small)
    assert scheduled.admit() is None
    assert list(scheduled.waiting) == [big, small]
