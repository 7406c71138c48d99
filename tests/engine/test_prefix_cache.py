from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.engine.prefix_cache import PrefixCache, common_prefix
from mcp_llama.engine.sequence import Sequence, Slot
from tests.engine.sequences import sequence

N_CTX = 512
tokens = st.lists(st.integers(0, 2), max_size=12)


def naive_common_prefix(a: list[int], b: list[int]) -> int:
    length = 0
    while length < min(len(a), len(b)) and a[length] == b[length]:
        length += 1
    return length


def taken(cache: PrefixCache, prompt: list[int]) -> tuple[int, int]:
    """Acquire and occupy a slot; its id and the shared length."""
    place = cache.acquire(prompt)
    assert place is not None
    assert place.source is None
    place.slot.sequence = sequence(prompt)
    return place.slot.id, place.shared


def filled(*contents: list[int]) -> PrefixCache:
    """A cache whose slots were released in order, with these contents."""
    cache = PrefixCache(len(contents), N_CTX)
    for slot, content in zip(cache.slots, contents, strict=True):
        cache.release(slot, content)
    return cache


@given(tokens, tokens, tokens)
def test_the_common_prefix_is_what_comparing_token_by_token_finds(a: list[int], b: list[int], head: list[int]) -> None:
    assert common_prefix(a, b) == naive_common_prefix(a, b)
    assert common_prefix(head + a, head + b) == len(head) + naive_common_prefix(a, b)


@given(st.lists(tokens, min_size=1, max_size=4), tokens)
def test_the_slot_with_the_longest_prefix_is_taken(contents: list[list[int]], prompt: list[int]) -> None:
    slot, shared = taken(filled(*contents), prompt)
    assert shared == max(naive_common_prefix(content, prompt) for content in contents)
    assert shared == naive_common_prefix(contents[slot], prompt)


def test_among_equals_the_least_recently_used_slot_is_taken() -> None:
    cache = filled([1, 2], [1, 3], [1, 4])
    for slot in (cache.slots[0], cache.slots[2], cache.slots[1]):
        cache.release(slot, slot.tokens)
    assert [taken(cache, [1, 9]) for _ in range(3)] == [(0, 1), (2, 1), (1, 1)]


def test_an_empty_slot_is_taken_before_one_that_may_still_be_of_use() -> None:
    cache = PrefixCache(3, N_CTX)
    cache.release(cache.slots[0], [1, 2])
    assert taken(cache, [7]) == (1, 0)


def test_a_slot_in_use_is_not_given_away_even_if_its_prefix_is_longer() -> None:
    cache = filled([1, 2, 3], [1])
    assert taken(cache, [1, 2, 3]) == (0, 3)
    assert taken(cache, [1, 2, 3]) == (1, 1)
    assert cache.acquire([1, 2, 3]) is None


def test_a_released_slot_is_free_and_keeps_what_was_computed() -> None:
    cache = PrefixCache(1, N_CTX)
    taken(cache, [1, 2, 3])
    slot: Slot = cache.slots[0]
    owner: Sequence | None = slot.sequence
    assert owner is not None
    cache.release(slot, [1, 2])
    assert taken(cache, [1, 2, 3]) == (0, 2)
