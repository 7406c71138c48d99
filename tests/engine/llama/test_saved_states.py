"""A state that does not fit is refused, and harms neither the slot nor its neighbours."""

import random

import pytest

from mcp_llama.engine.llama import LlamaModel
from tests.engine.llama.decoding import complete, extend, greedy, tokens
from tests.engine.sequences import GREEDY

TEXT = "The capital of France is Paris, and the capital of Germany is"


@pytest.fixture
def state(model: LlamaModel) -> bytes:
    """The state of a text, from a slot that is empty again."""
    extend(model, {0: tokens(model, TEXT)})
    state = model.save(0)
    model.truncate(0, 0)
    return state


def refused(model: LlamaModel, state: bytes) -> None:
    """Slot 0 does not take a state, and is empty; its neighbour goes on as if nothing had been."""
    prompt = tokens(model, TEXT)
    (expected,) = greedy(model, [prompt], 6)
    neighbour = tokens(model, "one two three")
    model.truncate(0, 0)
    extend(model, {0: tokens(model, "what was there before"), 1: neighbour})
    assert model.restore(0, state) is False
    assert (model.held_tokens(0), model.held_tokens(1)) == (0, len(neighbour))
    assert complete(model, [prompt], 6, GREEDY) == [expected]


def test_a_state_goes_into_any_slot_and_on_from_there(model: LlamaModel, state: bytes) -> None:
    prompt = tokens(model, TEXT)
    (expected,) = greedy(model, [[*prompt, 260]], 6)
    model.truncate(0, 0)
    assert model.restore(0, state) is True
    assert model.held_tokens(0) == len(prompt)
    assert model.save(0) == state
    assert complete(model, [[*prompt, 260]], 6, GREEDY) == [expected]


@pytest.mark.parametrize("garbage", [b"", b"\0", b"?" * 4, b"\0" * 64, b"\xff" * 4_096])
def test_bytes_that_are_no_state_are_refused(model: LlamaModel, garbage: bytes) -> None:
    refused(model, garbage)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_state_that_was_cut_short_is_refused(model: LlamaModel, state: bytes, share: float) -> None:
    refused(model, state[: int(len(state) * share)])


def test_random_bytes_are_refused(model: LlamaModel) -> None:
    refused(model, random.Random(0).randbytes(10_000))


def test_the_state_of_an_empty_slot_is_no_tokens(model: LlamaModel) -> None:
    state = model.save(2)
    extend(model, {0: tokens(model, "what was there before")})
    model.restore(0, state)
    assert model.held_tokens(0) == 0
