"""Prefixes whose state is kept outside the KV cache, and states that come back from there."""

from array import array

import pytest

from mcp_llama.engine.prefix_cache import Place, PrefixCache, StoredPrefix
from tests.engine.caches import HEAD, LONG, cache_of, compute, ids, memory, running
from tests.engine.sequences import sequence
from tests.fake_model import FakeModel


def stored_prefix(text: str, *, is_damaged: bool = False) -> StoredPrefix:
    """A text with the state that a FakeModel has of it."""
    return StoredPrefix(ids(text), array("i", ids(text)).tobytes() + b"?" * is_damaged)


def cache_with(stored: StoredPrefix, *contents: str, n_cells: int | None = None) -> tuple[PrefixCache, FakeModel]:
    model = memory(len(contents), n_cells=n_cells)
    return cache_of(*contents, model=model, stored=[stored]), model


@pytest.mark.parametrize("n_cells", [None, 512])
def test_a_stored_prefix_is_restored_into_the_least_recently_used_slot(n_cells: int | None) -> None:
    stored = stored_prefix(HEAD)
    cache, model = cache_with(stored, "something old", "something new", n_cells=n_cells)
    place = cache.find(ids(HEAD + "two"))
    assert place is not None
    assert place == Place(cache.slots[0], LONG, stored)
    owner = sequence(HEAD + "two")
    cache.occupy(place, owner)
    assert (owner.num_computed_tokens, owner.slot) == (LONG, cache.slots[0])
    assert model.slots == [ids(HEAD), ids("something new")]
    assert cache.cells.used == LONG + len("something new")
    compute(cache, model, owner, 3)
    assert cache.cells.held(0) == LONG + 3


def test_a_slot_that_holds_as_much_is_preferred_to_a_stored_prefix() -> None:
    cache, _ = cache_with(stored_prefix(HEAD), "something old", HEAD)
    assert cache.find(ids(HEAD + "two")) == Place(cache.slots[1], LONG)


def test_a_running_sequence_that_has_computed_as_much_is_preferred_to_a_stored_prefix() -> None:
    cache, model = cache_with(stored_prefix(HEAD), "", "")
    running(cache, model, 0, HEAD + "one", LONG)
    assert cache.find(ids(HEAD + "two")) == Place(cache.slots[1], LONG, cache.slots[0])


def test_nobody_waits_for_what_is_stored() -> None:
    stored = stored_prefix(HEAD)
    cache, model = cache_with(stored, "", "")
    running(cache, model, 0, HEAD + "one", 0)
    assert cache.find(ids(HEAD + "two")) == Place(cache.slots[1], LONG, stored)


@pytest.mark.parametrize("prompt", [HEAD, HEAD[:-1], HEAD[:-1] + "!" + HEAD])
def test_a_stored_prefix_is_used_whole_and_before_more_tokens_only(prompt: str) -> None:
    cache, _ = cache_with(stored_prefix(HEAD), "something old")
    assert cache.find(ids(prompt)) == Place(cache.slots[0], 0)


def test_of_stored_prefixes_the_longest_that_fits_is_used() -> None:
    stored = [stored_prefix(HEAD[:40]), stored_prefix(HEAD), stored_prefix(HEAD + "one"), stored_prefix(HEAD[:20])]
    model = memory(1)
    cache = PrefixCache(model, stored)
    assert cache.find(ids(HEAD + "two")) == Place(cache.slots[0], LONG, stored[1])


def test_a_stored_prefix_that_is_short_is_computed_again() -> None:
    cache, _ = cache_with(stored_prefix(HEAD[:15]), "")
    assert cache.find(ids(HEAD)) == Place(cache.slots[0], 0)


def test_a_state_that_does_not_fit_leaves_all_to_compute() -> None:
    stored = stored_prefix(HEAD, is_damaged=True)
    cache, model = cache_with(stored, "something old")
    owner = sequence(HEAD + "two")
    cache.occupy(Place(cache.slots[0], LONG, stored), owner)
    assert (owner.num_computed_tokens, model.slots[0], cache.cells.used) == (0, [], 0)
    compute(cache, model, owner, LONG + 3)
    assert cache.cells.used == LONG + 3


def test_cached_prefixes_make_room_for_a_stored_one() -> None:
    stored = stored_prefix(HEAD)
    model = memory(3, n_ctx=256, n_cells=256)
    cache = cache_of("a" * 100, "b" * 90, "c" * 60, model=model, stored=[stored])
    place = cache.find(ids(HEAD + "two"))
    assert place is not None
    assert place == Place(cache.slots[0], LONG, stored)
    cache.occupy(place, sequence(HEAD + "two"))
    assert [len(slot) for slot in model.slots] == [LONG, 90, 60]
    cache.occupy(Place(cache.slots[2], LONG, stored), sequence(HEAD + "end"))
    assert [len(slot) for slot in model.slots] == [LONG, 0, LONG]
    assert cache.cells.used == 2 * LONG


def test_a_loaded_slot_is_found_as_if_it_had_been_computed() -> None:
    model = memory(2)
    cache = cache_of("something old", "something new", model=model)
    assert model.restore(0, array("i", ids(HEAD)).tobytes())
    cache.load(cache.slots[0], ids(HEAD))
    assert cache.cells.used == LONG + len("something new")
    assert [slot.id for slot in cache.free_slots] == [1, 0]
    assert cache.find(ids(HEAD + "two")) == Place(cache.slots[0], LONG)
    assert cache.make_room(1_024 - LONG) == 1_024 - LONG
    assert model.slots == [ids(HEAD), []]


def test_a_slot_that_is_loaded_with_nothing_is_empty() -> None:
    model = memory(1)
    cache = cache_of("something old", model=model)
    assert not model.restore(0, b"???")
    cache.load(cache.slots[0], [])
    assert (cache.cells.used, cache.slots[0].tokens) == (0, [])
