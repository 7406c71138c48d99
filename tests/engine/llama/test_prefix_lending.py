"""A lane that was copied is as good as one that was computed."""

from collections.abc import Sequence

import pytest

from mcp_llama.engine.engine import Engine
from mcp_llama.engine.llama import LlamaModel
from mcp_llama.engine.model import DecodeAbortedError
from tests.engine.llama.decoding import RecordingModel, complete, extend, greedy, text, tokens
from tests.engine.sequences import GREEDY, request, run_all

EngineModel = tuple[Engine, RecordingModel]
HEAD = (
    "You are one of several agents who write a travel guide together. Be brief, be exact, name no prices, and never "
    "repeat what another agent has written. Each of you describes one city in one sentence, and begins with its name. "
)
CITIES = ("Lisbon:", "Oslo, in the north:", "Prague:", "Athens:")


@pytest.fixture
def head(model: LlamaModel) -> list[int]:
    return tokens(model, HEAD)


def likeliest(model: LlamaModel, slot: int, content: Sequence[int]) -> list[tuple[int, float]]:
    """The likeliest tokens after a content, of which a slot holds the start."""
    row = extend(model, {slot: content})[slot]
    return model.logprobs(row, 0, 50)[1]


def empty(model: LlamaModel) -> None:
    for slot in range(model.n_slots):
        model.truncate(slot, 0)


@pytest.mark.parametrize("shared", [1, 15, 16, 17, 33, 40])
def test_a_copied_prefix_gives_exactly_the_logits_of_a_computed_one(
    model: LlamaModel, head: list[int], shared: int
) -> None:
    content = head[:shared] + tokens(model, " But the old sailor")
    extend(model, {1: head})
    assert model.truncate(1, shared) == shared
    computed = likeliest(model, 1, content)
    empty(model)
    extend(model, {0: head})
    assert model.copy(0, 2, shared) == shared == model.held_tokens(2)
    assert likeliest(model, 2, content) == computed


def test_a_copy_replaces_all_that_the_lane_held(model: LlamaModel, head: list[int]) -> None:
    extend(model, {0: head, 1: tokens(model, "Something else, and longer than the rest. " * 20)})
    assert model.copy(0, 1, len(head)) == len(head)
    assert (model.held_tokens(0), model.held_tokens(1)) == (len(head), len(head))
    content = head + tokens(model, "Lisbon:")
    copied = likeliest(model, 1, content)
    assert copied == likeliest(model, 0, content)


def test_a_copied_lane_is_what_the_source_held_then(model: LlamaModel, head: list[int]) -> None:
    content = head + tokens(model, "Lisbon:")
    extend(model, {0: head})
    model.copy(0, 1, len(head))
    model.truncate(0, 0)
    stranger = tokens(model, "A text that overwrites the lane of the lender with other things. " * 4)
    extend(model, {0: stranger, 1: content[:-1]})
    copied = likeliest(model, 1, content)
    empty(model)
    extend(model, {1: head})
    extend(model, {0: stranger, 1: content[:-1]})
    assert copied == likeliest(model, 1, content)


def test_a_copy_can_be_copied_before_the_next_decode(model: LlamaModel, head: list[int]) -> None:
    content = head + tokens(model, "Lisbon:")
    extend(model, {0: head})
    for source, target in ((0, 1), (1, 2), (2, 3)):
        model.copy(source, target, len(head))
    assert likeliest(model, 3, content) == likeliest(model, 0, content)


def test_an_aborted_decode_does_not_lose_a_copy(model: LlamaModel, head: list[int]) -> None:
    content = head + tokens(model, "Lisbon:")
    extend(model, {0: head})
    model.copy(0, 1, len(head))
    model.abort()
    with pytest.raises(DecodeAbortedError):
        extend(model, {1: content})
    model.clear_abort()
    assert model.truncate(1, len(head)) == len(head)
    assert likeliest(model, 1, content) == likeliest(model, 0, content)


def test_followers_and_a_lender_that_goes_on_say_what_they_say_alone(
    model: LlamaModel, head: list[int], batch_size_changes_rounding: bool
) -> None:
    prompts = [head + tokens(model, city) for city in CITIES]
    alone = [greedy(model, [prompt], 16)[0] for prompt in prompts]
    empty(model)
    begun = complete(model, prompts[:1], 4, GREEDY)[0]
    for slot in (1, 2, 3):
        model.copy(0, slot, len(head))
    together = complete(model, [prompts[0] + begun, *prompts[1:]], 16, GREEDY)
    assert model.held_tokens(0) == len(prompts[0]) + 4 + 15
    if not batch_size_changes_rounding:
        assert [begun + together[0][:12], *together[1:]] == alone


async def test_agents_with_one_long_start_compute_it_once(
    engine_model: EngineModel, model: LlamaModel, head: list[int], batch_size_changes_rounding: bool
) -> None:
    engine, recording = engine_model
    tails = [tokens(model, city) for city in CITIES]
    recording.batches = []
    results = await run_all(engine, *(request(head + tail, 16) for tail in tails))
    batches, recording.batches = recording.batches, None
    assert [result.usage.cached_tokens for result in results] == [0, len(head), len(head), len(head)]
    assert sum(map(len, batches)) == len(head) + sum(map(len, tails)) + 4 * 15
    if not batch_size_changes_rounding:
        alone = [text(model, greedy(model, [head + tail], 16)[0]) for tail in tails]
        assert [result.text for result in results] == alone
