"""What a prefix cache drops when cells run out, and how much room it sees for a new sequence."""

import pytest

from mcp_llama.engine.prefix_cache import Place, PrefixCache, StoredPrefix
from tests.engine.caches import HEAD, LONG, cache_of, compute, ids, memory, running
from tests.engine.sequences import sequence
from tests.fake_model import FakeModel

POOL = 512


def pool_of(*contents: str, can_cut: bool = True) -> tuple[PrefixCache, FakeModel]:
    """A cache whose slots share their cells."""
    model = memory(len(contents), n_cells=POOL, can_cut=can_cut)
    return cache_of(*contents, model=model), model


def test_enough_free_cells_cost_nobody_anything() -> None:
    cache, model = pool_of("a" * 100, "b" * 100)
    assert cache.make_room(POOL - 200) == POOL - 200
    assert [len(slot) for slot in model.slots] == [100, 100]


def test_the_least_recently_used_prefixes_are_dropped_whole_until_there_is_room() -> None:
    cache, model = pool_of("a" * 100, "b" * 100, "c" * 100)
    cache.release(running(cache, model, 0, "a" * 100, 100, 100))
    assert cache.make_room(POOL - 299) == POOL - 200
    assert [len(slot) for slot in model.slots] == [100, 0, 100]
    assert [slot.tokens for slot in cache.slots] == [ids("a" * 100), [], ids("c" * 100)]
    assert cache.make_room(POOL - 99) == POOL - 0
    assert model.slots == [[], [], []]


def test_what_runs_keeps_its_cells_whatever_is_asked_for() -> None:
    cache, model = pool_of("a" * 100, "")
    running(cache, model, 1, "b" * 60, 50)
    assert cache.make_room(POOL) == POOL - 50
    assert [len(slot) for slot in model.slots] == [0, 50]


def test_dropping_a_prefix_frees_only_what_it_shares_with_nobody() -> None:
    cache, model = pool_of("", HEAD + "x" * 50)
    place = cache.find(ids(HEAD + "two"))
    assert place is not None
    cache.occupy(place, sequence(HEAD + "two"))
    assert (place.source, cache.cells.used) == (cache.slots[1], LONG + 50)
    assert cache.make_room(POOL) == POOL - LONG
    assert model.slots == [ids(HEAD), []]


def test_the_room_beside_a_place_leaves_out_what_nobody_runs() -> None:
    cache, model = pool_of("a" * 100, HEAD + "x" * 50, "")
    running(cache, model, 2, "c" * 40, 30)
    assert cache.room_beside(Place(cache.slots[0], 0)) == POOL - 30
    assert cache.room_beside(Place(cache.slots[0], 60)) == POOL - 30 - 60
    assert cache.room_beside(Place(cache.slots[0], LONG, cache.slots[1])) == POOL - 30 - LONG


def test_the_room_beside_a_copy_counts_shared_cells_once() -> None:
    cache, model = pool_of("", "")
    running(cache, model, 0, HEAD + "one", LONG + 2)
    assert cache.room_beside(Place(cache.slots[1], LONG, cache.slots[0])) == POOL - LONG - 2


def test_the_room_beside_a_stored_prefix_leaves_out_all_of_it() -> None:
    cache, model = pool_of("", "")
    running(cache, model, 0, HEAD + "one", LONG + 2)
    stored = StoredPrefix(ids(HEAD), b"")
    assert cache.room_beside(Place(cache.slots[1], LONG, stored)) == POOL - LONG - 2 - LONG


@pytest.mark.parametrize("can_cut", [True, False])
def test_a_copy_between_lanes_takes_cells_of_its_own(can_cut: bool) -> None:
    model = memory(2, n_ctx=200, can_cut=can_cut)
    cache = cache_of("", "", model=model)
    running(cache, model, 0, HEAD + "one", LONG)
    place = Place(cache.slots[1], LONG, cache.slots[0])
    assert cache.room_beside(place) == 400 - 2 * LONG
    cache.occupy(place, sequence(HEAD + "two"))
    assert cache.cells.used == 2 * LONG


def test_a_pool_whose_memory_cannot_be_cut_makes_room_for_a_copy() -> None:
    cache, model = pool_of("", "", "z" * (POOL - LONG - 10), can_cut=False)
    running(cache, model, 0, HEAD + "one", LONG)
    place = Place(cache.slots[1], LONG, cache.slots[0])
    assert cache.room_beside(place) == POOL - 2 * LONG
    owner = sequence(HEAD + "two")
    cache.occupy(place, owner)
    assert owner.num_computed_tokens == LONG
    assert model.slots[2] == []
    assert cache.cells.used == 2 * LONG


def test_a_copy_whose_room_costs_its_source_is_computed_instead() -> None:
    cache, model = pool_of("", HEAD, "", can_cut=False)
    running(cache, model, 2, "z" * 500, POOL - LONG - 1)
    owner = sequence(HEAD + "two")
    cache.occupy(Place(cache.slots[0], LONG, cache.slots[1]), owner)
    assert (owner.num_computed_tokens, model.slots[0], model.slots[1]) == (0, [], [])
    assert cache.cells.used == POOL - LONG - 1


def test_a_failed_decode_leaves_what_was_computed_before() -> None:
    cache, model = pool_of("")
    owner = running(cache, model, 0, "a" * 40, 30)
    model.slots[0] += ids("aaa")
    model.cells[0] += [400, 401, 402]
    cache.roll_back(owner)
    assert (owner.num_computed_tokens, len(model.slots[0]), cache.cells.used) == (30, 30, 30)
    compute(cache, model, owner, 10)
    assert cache.cells.used == 40


def test_a_failed_decode_takes_all_of_what_cannot_be_cut() -> None:
    cache, model = pool_of("", can_cut=False)
    owner = running(cache, model, 0, "a" * 40, 30)
    model.slots[0] += ids("aaa")
    model.cells[0] += [400, 401, 402]
    cache.roll_back(owner)
    assert (owner.num_computed_tokens, model.slots[0], cache.cells.used) == (0, [], 0)
