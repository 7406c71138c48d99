"""Which sequences run, and which rows a batch takes."""

from mcp_llama.engine.prefix_cache import Place, PrefixCache
from mcp_llama.engine.scheduler import Batch, Scheduler
from mcp_llama.engine.sequence import Sequence
from tests.engine.caches import memory
from tests.engine.sequences import sequence

ALL = 1_000
"""More prompt rows than any batch takes."""


def scheduler(*sequences: Sequence, n_slots: int = 4, n_batch: int = 8) -> Scheduler:
    """A scheduler that runs these sequences, as many as there are slots."""
    scheduler = Scheduler(PrefixCache(memory(n_slots)), n_batch)
    for each in sequences:
        scheduler.add(each)
    while scheduler.admit() is not None:
        pass
    return scheduler


def catch_up(scheduled: Scheduler, *sequences: Sequence) -> Scheduler:
    """The same scheduler, in which these have their last token still to compute."""
    for each in sequences:
        scheduled.cache.advance(each, each.num_pending_tokens - 1)
    return scheduled


def shares(batch: Batch) -> list[tuple[Sequence, int]]:
    return [(owner, count) for owner, count, _ in batch.parts]


def test_sequences_that_caught_up_come_before_prompts_then_the_oldest() -> None:
    a, b, c, d = sequence("aaaaaaa"), sequence("bb"), sequence("ccccccc"), sequence("dd")
    scheduled = catch_up(scheduler(a, b, c, d, n_batch=5), b, d)
    batch = scheduled.schedule(ALL)
    assert shares(batch) == [(a, 3), (b, 1), (d, 1)]
    assert bytes(batch.rows.tokens) == b"aaabd"
    assert shares(catch_up(scheduled, a).schedule(ALL)) == [(a, 1), (b, 1), (c, 2), (d, 1)]


def test_the_rows_of_a_batch_are_in_the_order_of_the_slots() -> None:
    a, b, c = sequence("aaaa"), sequence("bbb"), sequence("cc")
    scheduled = scheduler(a, b, c, n_slots=3)
    scheduled.remove(a)
    d = sequence("ddddd")
    scheduled.add(d)
    scheduled.admit()
    assert scheduled.running == [b, c, d]
    assert d.slot is scheduled.cache.slots[0]
    batch = scheduled.schedule(ALL)
    assert batch.rows.slots == [0] * 3 + [1] * 3 + [2] * 2
    assert bytes(batch.rows.tokens) == b"dddbbbcc"


def test_a_batch_says_where_its_rows_belong_and_which_are_sampled() -> None:
    a, b = sequence("aaa"), sequence("bbb")
    batch = catch_up(scheduler(a, b), b).schedule(ALL)
    assert batch.rows.slots == [0, 0, 0, 1]
    assert batch.rows.positions == [0, 1, 2, 2]
    assert batch.rows.outputs == [False, False, True, True]
    assert [row for _, _, row in batch.parts] == [2, 3]


def test_a_prompt_is_taken_in_chunks_and_only_its_last_row_is_sampled() -> None:
    a = sequence("0123456789")
    scheduled = scheduler(a, n_batch=4)
    taken: list[tuple[bytes, list[bool], int | None]] = []
    for _ in range(3):
        batch = scheduled.schedule(1)
        ((_, count, row),) = batch.parts
        taken.append((bytes(batch.rows.tokens), batch.rows.outputs, row))
        scheduled.cache.advance(a, count)
    assert taken == [
        (b"0123", [False] * 4, None),
        (b"4567", [False] * 4, None),
        (b"89", [False, True], 1),
    ]


def test_a_paused_sequence_gets_no_rows_and_keeps_its_slot() -> None:
    a, b = sequence("aa"), sequence("bb")
    scheduled = scheduler(a, b, n_slots=2)
    a.paused_since = 1.0
    assert shares(scheduled.schedule(ALL)) == [(b, 2)]
    assert a.slot is not None
    a.paused_since = None
    assert shares(scheduled.schedule(ALL)) == [(a, 2), (b, 2)]


def test_suspects_get_batches_of_their_own_until_they_have_passed_their_suspect_tokens() -> None:
    a, b, c = sequence("aaa"), sequence("bbbbb"), sequence("ccc")
    scheduled = scheduler(a, b, c)
    b.suspect_tokens, c.suspect_tokens = 5, 2
    assert shares(scheduled.schedule(ALL)) == [(b, 5)]
    scheduled.cache.advance(b, 5)
    assert shares(scheduled.schedule(ALL)) == [(c, 3)]
    scheduled.cache.advance(c, 2)
    assert shares(scheduled.schedule(ALL)) == [(a, 3), (c, 1)]


def test_a_paused_suspect_does_not_hold_up_the_others() -> None:
    a, b = sequence("aaa"), sequence("bbb")
    scheduled = scheduler(a, b)
    b.suspect_tokens, b.paused_since = 3, 1.0
    assert shares(scheduled.schedule(ALL)) == [(a, 3)]


def test_nothing_to_run_gives_an_empty_batch() -> None:
    assert not scheduler().schedule(ALL).parts


def test_first_come_first_served() -> None:
    a, b, c = sequence("a"), sequence("b"), sequence("c")
    scheduled = scheduler(a, b, c, n_slots=1)
    assert (scheduled.running, list(scheduled.waiting)) == ([a], [b, c])
    scheduled.remove(a)
    scheduled.admit()
    assert (scheduled.running, list(scheduled.waiting)) == ([b], [c])


def test_without_a_free_slot_nobody_is_admitted() -> None:
    a, b = sequence("a"), sequence("b")
    scheduled = scheduler(a, b, n_slots=1)
    assert scheduled.admit() is None
    assert list(scheduled.waiting) == [b]


def test_a_removed_sequence_leaves_only_what_was_computed_in_its_slot() -> None:
    a, b = sequence("abcdef"), sequence("abcdef")
    model = memory(1)
    scheduled = Scheduler(PrefixCache(model), 4)
    scheduled.add(a)
    scheduled.admit()
    model.decode(scheduled.schedule(ALL).rows)
    scheduled.cache.advance(a, 4)
    scheduled.remove(a)
    assert a.slot is None
    scheduled.add(b)
    assert scheduled.admit() == (b, Place(scheduled.cache.slots[0], 4))


def test_a_waiting_sequence_can_be_removed() -> None:
    a, b, c = sequence("a"), sequence("b"), sequence("c")
    scheduled = scheduler(a, b, c, n_slots=1)
    scheduled.remove(b)
    scheduled.remove(a)
    assert scheduled.admit() == (c, Place(scheduled.cache.slots[0], 0))


HEAD = "A start of more than sixteen tokens: "


def test_one_that_waits_for_a_common_prefix_lets_others_go_first() -> None:
    a, b, c = sequence(HEAD + "a"), sequence(HEAD + "b"), sequence("c")
    scheduled = scheduler(a, b, c, n_slots=3)
    assert (scheduled.running, list(scheduled.waiting)) == ([a, c], [b])


def test_one_that_waits_for_a_common_prefix_keeps_a_slot() -> None:
    a, b, c, d = sequence(HEAD + "a"), sequence(HEAD + "b"), sequence("c"), sequence("d")
    scheduled = scheduler(a, b, c, d, n_slots=3)
    assert (scheduled.running, list(scheduled.waiting)) == ([a, c], [b, d])


def test_one_that_let_others_go_first_runs_as_the_older_one() -> None:
    a, b, c = sequence(HEAD + "a"), sequence(HEAD + "b"), sequence("c")
    scheduled = scheduler(a, b, c, n_slots=3)
    scheduled.remove(a)
    scheduled.admit()
    assert scheduled.running == [b, c]


def test_one_that_waits_for_its_reader_lets_others_go_first() -> None:
    a, b = sequence("a"), sequence("b")
    scheduled = scheduler(n_slots=1)
    a.paused_since = 1.0
    scheduled.add(a)
    scheduled.add(b)
    scheduled.admit()
    assert (scheduled.running, list(scheduled.waiting)) == ([b], [a])
    a.paused_since = None
    scheduled.remove(b)
    scheduled.admit()
    assert (scheduled.running, list(scheduled.waiting)) == ([a], [])
