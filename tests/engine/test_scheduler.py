from mcp_llama.engine.prefix_cache import Place
from mcp_llama.engine.scheduler import Batch, Scheduler
from mcp_llama.engine.sequence import Sequence
from tests.engine.sequences import sequence

N_CTX = 512


def scheduler(*sequences: Sequence, n_slots: int = 4, n_batch: int = 8) -> Scheduler:
    """A scheduler that runs these sequences, as many as there are slots."""
    scheduler = Scheduler(n_slots, N_CTX, n_batch)
    for each in sequences:
        scheduler.add(each)
    while scheduler.admit() is not None:
        pass
    return scheduler


def caught_up(prompt: str) -> Sequence:
    """A sequence with its last token still to compute."""
    caught_up = sequence(prompt)
    caught_up.num_computed_tokens = len(prompt) - 1
    return caught_up


def shares(batch: Batch) -> list[tuple[Sequence, int]]:
    return [(owner, count) for owner, count, _ in batch.parts]


def test_sequences_that_caught_up_come_before_prompts_then_the_oldest() -> None:
    a, b, c, d = sequence("aaaa"), caught_up("bb"), sequence("ccccccc"), caught_up("dd")
    batch = scheduler(a, b, c, d).schedule()
    assert shares(batch) == [(b, 1), (d, 1), (a, 4), (c, 2)]
    assert bytes(batch.rows.tokens) == b"bdaaaacc"


def test_a_batch_says_where_its_rows_belong_and_which_are_sampled() -> None:
    a, b = sequence("aaa"), caught_up("bbb")
    rows = scheduler(a, b, n_batch=8).schedule().rows
    assert rows.slots == [1, 0, 0, 0]
    assert rows.positions == [2, 0, 1, 2]
    assert rows.outputs == [True, False, False, True]


def test_a_prompt_is_taken_in_chunks_and_only_its_last_row_is_sampled() -> None:
    a = sequence("0123456789")
    scheduled = scheduler(a, n_batch=4)
    taken: list[tuple[bytes, list[bool], int | None]] = []
    for _ in range(3):
        batch = scheduled.schedule()
        ((_, count, row),) = batch.parts
        taken.append((bytes(batch.rows.tokens), batch.rows.outputs, row))
        a.num_computed_tokens += count
    assert taken == [
        (b"0123", [False] * 4, None),
        (b"4567", [False] * 4, None),
        (b"89", [False, True], 1),
    ]


def test_a_young_prompt_gets_the_room_that_an_older_one_leaves() -> None:
    a, b, c = sequence("aaaaa"), sequence("bbbbb"), sequence("ccccc")
    assert shares(scheduler(a, b, c).schedule()) == [(a, 5), (b, 3)]


def test_a_paused_sequence_gets_no_rows_and_keeps_its_slot() -> None:
    a, b = sequence("aa"), sequence("bb")
    scheduled = scheduler(a, b, n_slots=2)
    a.paused_since = 1.0
    assert shares(scheduled.schedule()) == [(b, 2)]
    assert a.slot is not None
    a.paused_since = None
    assert shares(scheduled.schedule()) == [(a, 2), (b, 2)]


def test_suspects_get_batches_of_their_own_until_they_have_passed_their_suspect_tokens() -> None:
    a, b, c = sequence("aaa"), sequence("bbbbb"), sequence("ccc")
    scheduled = scheduler(a, b, c)
    b.suspect_tokens, c.suspect_tokens = 5, 2
    assert shares(scheduled.schedule()) == [(b, 5)]
    b.num_computed_tokens = 5
    assert shares(scheduled.schedule()) == [(c, 3)]
    c.num_computed_tokens = 2
    assert shares(scheduled.schedule()) == [(c, 1), (a, 3)]


def test_a_paused_suspect_does_not_hold_up_the_others() -> None:
    a, b = sequence("aaa"), sequence("bbb")
    scheduled = scheduler(a, b)
    b.suspect_tokens, b.paused_since = 3, 1.0
    assert shares(scheduled.schedule()) == [(a, 3)]


def test_nothing_to_run_gives_an_empty_batch() -> None:
    assert not scheduler().schedule().parts


def test_first_come_first_served() -> None:
    a, b, c = sequence("a"), sequence("b"), sequence("c")
    scheduled = scheduler(a, b, c, n_slots=1)
    assert (scheduled.running, list(scheduled.waiting)) == ([a], [b, c])
    scheduled.remove(a)
    scheduled.admit()
    assert (scheduled.running, list(scheduled.waiting)) == ([b], [c])


def test_a_removed_sequence_leaves_only_what_was_computed_in_its_slot() -> None:
    a, b = sequence("abcdef"), sequence("abcdef")
    scheduled = scheduler(a, n_slots=1)
    a.num_computed_tokens = 4
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
