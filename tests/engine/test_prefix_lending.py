"""What a prefix cache does with a prefix that a running sequence has computed, or will."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.engine.prefix_cache import Place, PrefixCache, common_prefix
from mcp_llama.engine.sequence import Sequence
from tests.engine.sequences import sequence

HEAD = "A long start that many prompts have in common, such as the instructions of an agent."
LONG = len(HEAD)


def cache_of(*contents: str, n_ctx: int = 512) -> PrefixCache:
    """A cache whose slots were released in order, with these contents."""
    cache = PrefixCache(len(contents), n_ctx)
    for slot, content in zip(cache.slots, contents, strict=True):
        cache.release(slot, list(content.encode()))
    return cache


def running(cache: PrefixCache, slot: int, prompt: str, computed: int) -> Sequence:
    """A sequence that holds a slot and has computed so many of its tokens."""
    owner = sequence(prompt)
    owner.num_computed_tokens = computed
    owner.slot = cache.slots[slot]
    cache.slots[slot].sequence = owner
    return owner


def acquired(cache: PrefixCache, prompt: str) -> Place | None:
    return cache.acquire(list(prompt.encode()))


def test_a_computed_prefix_of_a_running_sequence_is_copied_into_a_free_slot() -> None:
    cache = cache_of("", "")
    running(cache, 0, HEAD + "one", LONG)
    assert acquired(cache, HEAD + "two") == Place(cache.slots[1], LONG, cache.slots[0])


@pytest.mark.parametrize("computed", [0, 1, LONG - 1])
def test_a_prefix_that_is_still_being_computed_is_waited_for(computed: int) -> None:
    cache = cache_of("", "")
    lender = running(cache, 0, HEAD + "one", computed)
    assert acquired(cache, HEAD + "two") is None
    lender.num_computed_tokens = LONG
    assert acquired(cache, HEAD + "two") is not None


def test_nobody_waits_for_what_is_not_shared() -> None:
    cache = cache_of("", "", "")
    running(cache, 0, HEAD + "one", 0)
    assert acquired(cache, "Something else entirely, which shares nothing.") == Place(cache.slots[1], 0)


@pytest.mark.parametrize(("n_ctx", "length"), [(512, 8), (8_192, 8), (262_144, 80)])
def test_a_prefix_shorter_than_a_copy_is_worth_is_computed_again(n_ctx: int, length: int) -> None:
    cache = cache_of("", "", n_ctx=n_ctx)
    running(cache, 0, HEAD[:length] + "\0", length)
    assert acquired(cache, HEAD) == Place(cache.slots[1], 0)


@pytest.mark.parametrize("computed", [0, LONG])
def test_a_free_slot_with_as_long_a_prefix_is_preferred(computed: int) -> None:
    cache = cache_of("", HEAD + "other", "")
    running(cache, 0, HEAD + "one", computed)
    assert acquired(cache, HEAD + "two") == Place(cache.slots[1], LONG)


def test_a_free_slot_with_a_little_less_is_preferred() -> None:
    cache = cache_of("", HEAD[:-5], "")
    running(cache, 0, HEAD + "one", 0)
    assert acquired(cache, HEAD + "two") == Place(cache.slots[1], LONG - 5)


def test_a_copy_takes_the_least_recently_used_slot_and_not_the_one_with_the_next_best_prefix() -> None:
    cache = cache_of("", "something old", HEAD[:20])
    running(cache, 0, HEAD + "one", LONG)
    assert acquired(cache, HEAD + "two") == Place(cache.slots[1], LONG, cache.slots[0])


def test_the_sequence_that_shares_most_lends() -> None:
    cache = cache_of("", "", "", "")
    running(cache, 0, HEAD[:40], 39)
    running(cache, 1, HEAD + "one, and more", LONG + 9)
    running(cache, 2, HEAD[:60], 59)
    assert acquired(cache, HEAD + "one, and less") == Place(cache.slots[3], LONG + 9, cache.slots[1])


def test_without_a_free_slot_nothing_is_lent() -> None:
    cache = cache_of("")
    running(cache, 0, HEAD + "one", LONG)
    assert acquired(cache, HEAD + "two") is None


def test_a_paused_sequence_lends_what_it_has_and_is_not_waited_for() -> None:
    cache = cache_of("", "")
    lender = running(cache, 0, HEAD + "one", LONG - 9)
    lender.paused_since = 1.0
    assert acquired(cache, HEAD + "two") == Place(cache.slots[1], LONG - 9, cache.slots[0])


def test_a_paused_sequence_with_little_computed_is_not_copied() -> None:
    cache = cache_of("", "")
    lender = running(cache, 0, HEAD + "one", 5)
    lender.paused_since = 1.0
    assert acquired(cache, HEAD + "two") == Place(cache.slots[1], 0)


def test_what_a_sequence_has_sampled_is_lent_but_not_waited_for() -> None:
    cache = cache_of("", "")
    lender = running(cache, 0, HEAD, LONG)
    lender.tokens += b"and s"
    lender.num_computed_tokens += 4
    assert acquired(cache, HEAD + "and so on") == Place(cache.slots[1], LONG + 4, cache.slots[0])


heads = st.sampled_from(["", HEAD[:20], HEAD[:40], HEAD])
prompts = st.tuples(heads, st.text("ab", max_size=24)).map("".join)


@given(st.lists(prompts, min_size=1, max_size=5), st.data(), prompts)
def test_a_place_has_what_it_promises_and_only_a_prefill_is_waited_for(
    contents: list[str], data: st.DataObject, prompt: str
) -> None:
    cache = cache_of(*contents)
    owners: list[Sequence] = []
    for index in data.draw(st.sets(st.integers(0, len(contents) - 1))):
        content = contents[index] + "c"
        owners.append(running(cache, index, content, data.draw(st.integers(0, len(content) - 1))))
        owners[-1].paused_since = data.draw(st.sampled_from([None, 1.0]))
    tokens = list((prompt + "d").encode())
    place = cache.acquire(tokens)
    if place is None:
        behind = [s for s in owners if s.paused_since is None and s.num_pending_tokens > 1]
        waited_for = [s for s in behind if common_prefix(s.tokens, tokens) > s.num_computed_tokens]
        assert len(owners) == len(contents) or waited_for
        return
    assert place.slot.sequence is None
    if place.source is None:
        assert common_prefix(place.slot.tokens, tokens) == place.shared
    else:
        lender = place.source.sequence
        assert lender is not None
        assert place.shared <= lender.num_computed_tokens
        assert common_prefix(lender.tokens, tokens) >= place.shared
