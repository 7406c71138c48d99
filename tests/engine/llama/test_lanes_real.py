"""A sequence that was moved to another lane of llama.cpp goes on as if it had always been there."""

from contextlib import AsyncExitStack

import pytest

from mcp_llama.engine.engine import Engine
from mcp_llama.engine.llama import LlamaModel
from mcp_llama.engine.prefix_cache import Place, PrefixCache
from mcp_llama.engine.sequence import Sequence
from tests.engine.llama.decoding import RecordingModel, extend, greedy, text, tokens
from tests.engine.sequences import admission, finish, request, sequence

PROMPTS = ("The sea is", "Once upon a time there was", "My favourite food is", "The capital of France")
COUNT = 40


def put(cache: PrefixCache, model: LlamaModel, slot: int, content: list[int]) -> Sequence:
    """A sequence that runs in a slot and has computed all its tokens."""
    owner = sequence(content)
    cache.occupy(Place(cache.slots[slot], 0), owner)
    extend(model, {slot: content})
    cache.advance(owner, len(content))
    return owner


def test_both_lanes_of_a_move_are_exactly_as_they_were(model: LlamaModel) -> None:
    mover, stayer = tokens(model, PROMPTS[0] * 9), tokens(model, PROMPTS[1] * 4)
    more = tokens(model, " And then")
    cache = PrefixCache(model)
    cache.release(put(cache, model, 1, stayer))
    owner = put(cache, model, 3, mover)
    rows = extend(model, {3: mover + more})
    expected = model.logprobs(rows[3], 0, 50)[1]
    model.truncate(3, len(mover))
    rows = extend(model, {1: stayer + more})
    expected_of_the_other = model.logprobs(rows[1], 0, 50)[1]
    model.truncate(1, len(stayer))
    cache.move(owner, cache.slots[1])
    assert owner.slot is cache.slots[1]
    assert (model.held_tokens(1), model.held_tokens(3)) == (len(mover), len(stayer))
    assert cache.slots[3].tokens == stayer
    rows = extend(model, {1: mover + more})
    assert model.logprobs(rows[1], 0, 50)[1] == expected
    rows = extend(model, {3: stayer + more})
    assert model.logprobs(rows[3], 0, 50)[1] == expected_of_the_other


@pytest.mark.parametrize("leaving", [[1], [0, 2], [1, 2]])
async def test_those_who_stay_behind_are_computed_together_and_say_what_they_say_alone(
    engine_model: tuple[Engine, RecordingModel],
    model: LlamaModel,
    batch_size_changes_rounding: bool,
    leaving: list[int],
) -> None:
    engine, recording = engine_model
    prompts = [tokens(model, prompt) for prompt in PROMPTS]
    recording.batches = []
    stacks = [AsyncExitStack() for _ in prompts]
    opened = [engine.generate(request(prompt, COUNT)) for prompt in prompts]
    for stack, generation in zip(stacks, opened, strict=True):
        await admission(await stack.enter_async_context(generation))
    for index in leaving:
        await stacks[index].aclose()
    staying = [index for index in range(len(prompts)) if index not in leaving]
    results = [await finish(opened[index]) for index in staying]
    for index in staying:
        await stacks[index].aclose()
    batches, recording.batches = recording.batches, None
    last = [batch.slots for batch in batches if len(batch) == len(staying)][-8:]
    assert len(last) == 8
    assert all(slots[-1] - slots[0] == len(slots) - 1 for slots in last)
    if not batch_size_changes_rounding:
        alone = [text(model, greedy(model, [prompts[index]], COUNT)[0]) for index in staying]
        assert [result.text for result in results] == alone
