"""What a prefix cache does with a prefix that a running sequence has computed, or will."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.engine.prefix_cache import Place, PrefixCache, common_prefix
from mcp_llama.engine.sequence import Sequence, Slot
from tests.engine.caches import HEAD, LONG, cache_of, compute, ids, memory, running
from tests.engine.sequences import sequence
from tests.fake_model import FakeModel


class Slots:
    """Slots with these contents, least recently used first."""

    def __init__(self, *contents: str, n_ctx: int = 512, can_cut: bool = True) -> None:
        self.model: FakeModel = memory(len(contents), n_ctx=n_ctx, can_cut=can_cut)
        self.cache: PrefixCache = cache_of(*contents, model=self.model)

    def __getitem__(self, slot: int) -> Slot:
        return self.cache.slots[slot]

    def run(self, slot: int, prompt: str, computed: int) -> Sequence:
        return running(self.cache, self.model, slot, prompt, computed)

    def find(self, prompt: str) -> Place | None:
        return self.cache.find(ids(prompt))


def test_a_computed_prefix_of_a_running_sequence_is_copied_into_a_free_slot() -> None:
    slots = Slots("", "")
    slots.run(0, HEAD + "one", LONG)
    assert slots.find(HEAD + "two") == Place(slots[1], LONG, slots[0])


@pytest.mark.parametrize("computed", [0, 1, LONG - 16])
def test_a_prefix_that_is_still_being_computed_is_waited_for(computed: int) -> None:
    slots = Slots("", "")
    lender = slots.run(0, HEAD + "one", computed)
    assert slots.find(HEAD + "two") is None
    compute(slots.cache, slots.model, lender, LONG - computed)
    assert slots.find(HEAD + "two") == Place(slots[1], LONG, slots[0])


def test_a_prefix_that_is_nearly_computed_is_copied_as_it_is() -> None:
    slots = Slots("", "")
    slots.run(0, HEAD + "one", LONG - 15)
    assert slots.find(HEAD + "two") == Place(slots[1], LONG - 15, slots[0])


def test_nobody_waits_for_what_is_not_shared() -> None:
    slots = Slots("", "", "")
    slots.run(0, HEAD + "one", 0)
    assert slots.find("Something else entirely, which shares nothing.") == Place(slots[1], 0)


@pytest.mark.parametrize("n_ctx", [512, 8_192])
@pytest.mark.parametrize("length", [8, 15])
def test_a_prefix_shorter_than_a_copy_is_worth_is_computed_again(n_ctx: int, length: int) -> None:
    slots = Slots("", "", n_ctx=n_ctx)
    slots.run(0, HEAD[:length] + "\0", length)
    assert slots.find(HEAD) == Place(slots[1], 0)


def test_a_prefix_as_long_as_a_copy_is_worth_is_copied() -> None:
    slots = Slots("", "")
    slots.run(0, HEAD[:16] + "\0", 16)
    assert slots.find(HEAD) == Place(slots[1], 16, slots[0])


@pytest.mark.parametrize("computed", [0, LONG])
def test_a_free_slot_with_as_long_a_prefix_is_preferred(computed: int) -> None:
    slots = Slots("", HEAD + "other", "")
    slots.run(0, HEAD + "one", computed)
    assert slots.find(HEAD + "two") == Place(slots[1], LONG)


def test_a_free_slot_with_a_little_less_is_preferred() -> None:
    slots = Slots("", HEAD[:-5], "")
    slots.run(0, HEAD + "one", 0)
    assert slots.find(HEAD + "two") == Place(slots[1], LONG - 5)


def test_a_copy_takes_the_least_recently_used_slot_and_not_the_one_with_the_next_best_prefix() -> None:
    slots = Slots("", "something old", HEAD[:20])
    slots.run(0, HEAD + "one", LONG)
    assert slots.find(HEAD + "two") == Place(slots[1], LONG, slots[0])


def test_the_sequence_that_shares_most_lends() -> None:
    slots = Slots("", "", "", "")
    slots.run(0, HEAD[:40], 39)
    slots.run(1, HEAD + "one, and more", LONG + 9)
    slots.run(2, HEAD[:60], 59)
    assert slots.find(HEAD + "one, and less") == Place(slots[3], LONG + 9, slots[1])


def test_a_paused_sequence_lends_what_it_has_and_is_not_waited_for() -> None:
    slots = Slots("", "")
    lender = slots.run(0, HEAD + "one", LONG - 20)
    lender.paused_since = 1.0
    assert slots.find(HEAD + "two") == Place(slots[1], LONG - 20, slots[0])


def test_a_paused_sequence_with_little_computed_is_not_copied() -> None:
    slots = Slots("", "")
    lender = slots.run(0, HEAD + "one", 5)
    lender.paused_since = 1.0
    assert slots.find(HEAD + "two") == Place(slots[1], 0)


def test_what_a_sequence_has_sampled_is_lent_but_not_waited_for() -> None:
    slots = Slots("", "")
    lender = slots.run(0, HEAD, LONG)
    lender.tokens += b"and s"
    compute(slots.cache, slots.model, lender, 4)
    assert slots.find(HEAD + "and so on") == Place(slots[1], LONG + 4, slots[0])


def test_a_sequence_whose_memory_cannot_be_cut_lends_all_that_it_holds() -> None:
    slots = Slots("", "", can_cut=False)
    lender = slots.run(0, HEAD + "one", LONG)
    place = slots.find(HEAD + "two")
    assert place is not None
    assert place == Place(slots[1], LONG, slots[0])
    follower = sequence(HEAD + "two")
    slots.cache.occupy(place, follower)
    assert (follower.num_computed_tokens, slots.model.slots[1]) == (LONG, slots.model.slots[0])
    compute(slots.cache, slots.model, lender, 1)
    slots.cache.release(follower)
    assert slots.find(HEAD + "two") == Place(slots[1], LONG)


def test_a_sequence_whose_memory_cannot_be_cut_lends_nothing_less_than_all() -> None:
    slots = Slots("", "", can_cut=False)
    slots.run(0, HEAD + "one", LONG + 1)
    assert slots.find(HEAD + "two") == Place(slots[1], 0, uncut=LONG)


heads = st.sampled_from(["", HEAD[:20], HEAD[:40], HEAD])
prompts = st.tuples(heads, st.text("ab", max_size=24)).map("".join)


@given(st.lists(prompts, min_size=1, max_size=5), st.data(), prompts, st.booleans())
def test_a_place_has_what_it_promises_and_only_a_prefill_is_waited_for(
    contents: list[str], data: st.DataObject, prompt: str, can_cut: bool
) -> None:
    slots = Slots(*contents, can_cut=can_cut)
    owners: list[Sequence] = []
    for index in data.draw(st.sets(st.integers(0, len(contents) - 1), max_size=len(contents) - 1)):
        content = contents[index] + "c"
        owners.append(slots.run(index, content, data.draw(st.integers(0, len(content) - 1))))
        owners[-1].paused_since = data.draw(st.sampled_from([None, 1.0]))
    tokens = ids(prompt + "d")
    place = slots.cache.find(tokens)
    held = slots.model.slots
    if place is None:
        behind = [s for s in owners if s.paused_since is None and s.num_pending_tokens > 1]
        assert any(common_prefix(s.tokens, tokens) >= s.num_computed_tokens + 16 for s in behind)
        return
    assert place.slot.sequence is None
    where = place.slot if place.source is None else place.source
    assert isinstance(where, Slot)
    assert held[where.id][: place.shared] == tokens[: place.shared]
    owner = sequence(tokens)
    had = common_prefix(held[place.slot.id], tokens)
    most = max(common_prefix(each, tokens) for each in held)
    slots.cache.occupy(place, owner)
    assert owner.num_computed_tokens == place.shared
    assert held[place.slot.id] == tokens[: place.shared]
    if can_cut:
        assert place.shared > most - 16
        assert place.source is None or place.shared >= had + 16
        assert place.uncut == 0
    else:
        assert place.shared + place.uncut <= most
