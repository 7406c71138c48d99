"""Which slot a new sequence gets, by what the free ones hold."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.engine.prefix_cache import Place, PrefixCache, common_prefix
from tests.engine.caches import HEAD, LONG, cache_of, compute, ids, memory, running
from tests.engine.sequences import sequence

tokens = st.lists(st.integers(0, 2), max_size=12)
WORTH = 16


def naive_common_prefix(a: list[int], b: list[int]) -> int:
    length = 0
    while length < min(len(a), len(b)) and a[length] == b[length]:
        length += 1
    return length


def taken(cache: PrefixCache, prompt: list[int]) -> tuple[int, int]:
    """Find and occupy a slot; its id and the shared length."""
    place = cache.find(prompt)
    assert place is not None
    assert place.source is None
    cache.occupy(place, sequence(prompt))
    return place.slot.id, place.shared


@given(tokens, tokens, tokens)
def test_the_common_prefix_is_what_comparing_token_by_token_finds(a: list[int], b: list[int], head: list[int]) -> None:
    assert common_prefix(a, b) == naive_common_prefix(a, b)
    assert common_prefix(head + a, head + b) == len(head) + naive_common_prefix(a, b)


@given(st.lists(tokens, min_size=1, max_size=4), tokens)
def test_the_slot_with_the_longest_prefix_is_taken(contents: list[list[int]], prompt: list[int]) -> None:
    slot, shared = taken(cache_of(*contents), [*prompt, 9])
    assert shared == max(naive_common_prefix(content, prompt) for content in contents)
    assert shared == naive_common_prefix(contents[slot], prompt)


def test_the_last_token_of_a_prompt_is_computed_even_if_it_is_there() -> None:
    assert taken(cache_of([1, 2, 3]), [1, 2, 3]) == (0, 2)
    assert taken(cache_of([1]), [1]) == (0, 0)


def test_among_equals_the_least_recently_used_slot_is_taken() -> None:
    model = memory(3)
    cache = cache_of([1, 2], [1, 3], [1, 4], model=model)
    for slot in (0, 2, 1):
        cache.release(running(cache, model, slot, cache.slots[slot].tokens, 2, 2))
    assert [taken(cache, [1, 9]) for _ in range(3)] == [(0, 1), (2, 1), (1, 1)]


def test_an_empty_slot_is_taken_before_one_that_may_still_be_of_use() -> None:
    model = memory(3)
    cache = PrefixCache(model)
    cache.release(running(cache, model, 0, [1, 2], 2))
    assert taken(cache, [7, 7]) == (1, 0)


def test_a_slot_in_use_is_not_given_away_even_if_its_prefix_is_longer() -> None:
    cache = cache_of([1, 2, 3], [1])
    assert taken(cache, [1, 2, 3, 4]) == (0, 3)
    assert taken(cache, [1, 2, 3, 4]) == (1, 1)
    assert cache.free_slots == []


def test_a_released_slot_is_free_and_keeps_what_was_computed() -> None:
    model = memory(1)
    cache = PrefixCache(model)
    owner = running(cache, model, 0, [1, 2, 3], 2)
    cache.release(owner)
    assert (owner.slot, cache.free_slots, cache.slots[0].tokens) == (None, cache.slots, [1, 2])
    assert taken(cache, [1, 2, 3]) == (0, 2)
    assert model.slots[0] == [1, 2]


def test_free_slots_come_in_the_order_of_their_last_use() -> None:
    model = memory(4)
    cache = cache_of("a", "b", "c", "d", model=model)
    owners = [running(cache, model, slot, "zz", 0) for slot in (1, 3)]
    for owner in reversed(owners):
        cache.release(owner)
    assert [slot.id for slot in cache.free_slots] == [0, 2, 3, 1]


def test_a_slot_that_goes_on_where_the_prompt_leaves_it_is_used_in_place() -> None:
    cache = cache_of("something old", HEAD)
    assert cache.find(ids(HEAD + "two")) == Place(cache.slots[1], LONG)


def test_a_slot_that_would_lose_little_is_used_in_place() -> None:
    cache = cache_of("something old", HEAD + "x" * (WORTH - 1))
    assert cache.find(ids(HEAD + "two")) == Place(cache.slots[1], LONG)


def test_a_slot_that_would_lose_much_is_kept_and_its_prefix_copied() -> None:
    model = memory(3)
    cache = cache_of("something old", HEAD + "x" * WORTH, "new", model=model)
    place = cache.find(ids(HEAD + "two"))
    assert place is not None
    assert place == Place(cache.slots[0], LONG, cache.slots[1])
    owner = sequence(HEAD + "two")
    cache.occupy(place, owner)
    assert owner.num_computed_tokens == LONG
    assert model.slots == [ids(HEAD), ids(HEAD + "x" * WORTH), ids("new")]
    assert cache.slots[1].tokens == ids(HEAD + "x" * WORTH)


def test_the_least_recently_used_slot_is_used_in_place_even_if_it_loses_much() -> None:
    cache = cache_of(HEAD + "x" * 99, "something new")
    assert cache.find(ids(HEAD + "two")) == Place(cache.slots[0], LONG)


def test_a_little_that_the_target_holds_of_the_prompt_does_not_stop_a_copy() -> None:
    cache = cache_of(HEAD[:WORTH], HEAD + "x" * WORTH)
    assert cache.find(ids(HEAD + "two")) == Place(cache.slots[0], LONG, cache.slots[1])


def test_what_the_least_recently_used_slot_holds_is_used_if_a_copy_brings_little_more() -> None:
    cache = cache_of(HEAD[: LONG - WORTH + 1] + "y" * 99, HEAD + "x" * 99)
    assert cache.find(ids(HEAD + "two")) == Place(cache.slots[0], LONG - WORTH + 1, uncut=0)


def test_a_place_that_is_occupied_loses_what_does_not_belong_to_the_prompt() -> None:
    model = memory(1)
    cache = cache_of(HEAD + "one", model=model)
    owner = sequence(HEAD + "two")
    cache.occupy(Place(cache.slots[0], LONG), owner)
    assert (owner.num_computed_tokens, owner.slot) == (LONG, cache.slots[0])
    assert model.slots[0] == ids(HEAD)
    assert (cache.cells.held(0), cache.cells.used) == (LONG, LONG)
    compute(cache, model, owner, 3)
    assert (cache.cells.held(0), owner.num_computed_tokens) == (LONG + 3, LONG + 3)
    assert cache.free_slots == []
