"""A prefix that is reused gives the logits of one that was computed, whichever way it came to its slot.

In a pool, the order of the cells changes how llama.cpp rounds: each test fills them as the computed prefix did.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mcp_llama.engine.llama import LlamaModel, ModelOptions
from mcp_llama.engine.model import DecodeAbortedError
from tests.engine.llama.decoding import extend, tokens

HEAD = (
    "You are one of several agents who write a travel guide together. Be brief, be exact, name no prices, and never "
    "repeat what another agent has written. "
)
N_CTX, POOL = 256, 512
Logits = list[tuple[int, float]]


@pytest.fixture(scope="module", params=[None, POOL], ids=["lanes", "pool"])
def memory(real_model_path: Path, request: pytest.FixtureRequest) -> Iterator[LlamaModel]:
    options = ModelOptions(n_ctx=N_CTX, n_slots=3, n_cells=request.param, n_threads=1, flash_attn="off")
    model = LlamaModel(real_model_path, options)
    yield model
    model.close()


@pytest.fixture
def model(memory: LlamaModel) -> LlamaModel:
    memory.clear_abort()
    empty(memory)
    return memory


@pytest.fixture
def head(model: LlamaModel) -> list[int]:
    return tokens(model, HEAD)


@pytest.fixture
def content(model: LlamaModel, head: list[int]) -> list[int]:
    return head + tokens(model, "Lisbon is")


@pytest.fixture
def cold(model: LlamaModel, head: list[int], content: list[int]) -> Logits:
    """The logits after the content from empty slots, with the same chunks."""
    extend(model, {0: head})
    cold = logits(model, 0, content)
    empty(model)
    return cold


def empty(model: LlamaModel) -> None:
    for slot in range(model.n_slots):
        model.truncate(slot, 0)


def logits(model: LlamaModel, slot: int, content: Sequence[int]) -> Logits:
    """All log probabilities after a content, of which a slot holds the start."""
    return model.logprobs(extend(model, {slot: content})[slot], 0, model.n_vocab)[1]


def test_a_prefix_that_is_cut_and_used_in_place(
    model: LlamaModel, head: list[int], content: list[int], cold: Logits
) -> None:
    extend(model, {0: head})
    extend(model, {0: head + tokens(model, "something else that is cut off")})
    assert model.truncate(0, len(head)) == len(head)
    assert logits(model, 0, content) == cold


def test_a_copy_and_its_source_both_go_on(model: LlamaModel, head: list[int], content: list[int], cold: Logits) -> None:
    extend(model, {0: head})
    assert model.copy(0, 2, len(head)) == len(head) == model.held_tokens(2)
    assert logits(model, 2, content) == cold
    extend(model, {0: head + tokens(model, "Oslo, in the north, is")})
    model.truncate(0, len(head))
    assert logits(model, 0, content) == cold


def test_a_copy_of_a_part(model: LlamaModel, head: list[int], content: list[int], cold: Logits) -> None:
    extend(model, {1: head})
    extend(model, {1: head + tokens(model, "Oslo")})
    assert model.copy(1, 0, len(head)) == len(head) == model.held_tokens(0)
    assert model.held_tokens(1) > len(head)
    model.truncate(1, len(head))
    assert logits(model, 0, content) == cold


def test_a_copy_over_what_the_slot_held(model: LlamaModel, head: list[int], content: list[int], cold: Logits) -> None:
    extend(model, {0: head, 1: tokens(model, "Something else, and longer than the rest. " * 6)})
    assert model.copy(0, 1, len(head)) == len(head) == model.held_tokens(1)
    assert logits(model, 1, content) == cold


def test_a_copy_whose_source_is_dropped(model: LlamaModel, head: list[int], content: list[int], cold: Logits) -> None:
    extend(model, {0: head})
    model.copy(0, 1, len(head))
    model.truncate(0, 0)
    extend(model, {2: tokens(model, "What takes the cells that are free now. " * 8)})
    assert model.held_tokens(1) == len(head)
    assert logits(model, 1, content) == cold


def test_a_restored_state(model: LlamaModel, head: list[int], content: list[int], cold: Logits) -> None:
    extend(model, {0: head})
    state = model.save(0)
    empty(model)
    assert model.restore(0, state)
    assert model.held_tokens(0) == len(head)
    assert logits(model, 0, content) == cold
    extend(model, {2: tokens(model, "A neighbour. ")})
    assert model.restore(1, state)
    assert logits(model, 1, content) == cold


def test_a_prefix_that_is_computed_where_another_was_dropped(
    model: LlamaModel, head: list[int], content: list[int]
) -> None:
    neighbour = tokens(model, "one two three " * 8)
    extend(model, {0: neighbour})
    extend(model, {1: head})
    cold = logits(model, 1, content)
    empty(model)
    extend(model, {0: neighbour, 1: tokens(model, "four " * 80)})
    model.truncate(1, 0)
    extend(model, {1: head})
    assert logits(model, 1, content) == cold


def test_a_prefix_behind_which_decodes_were_aborted(
    model: LlamaModel, head: list[int], content: list[int], cold: Logits
) -> None:
    extend(model, {0: head})
    for rows in (1, len(content) - len(head)):
        model.abort()
        with pytest.raises(DecodeAbortedError):
            extend(model, {0: content[: len(head) + rows]})
        model.clear_abort()
        assert model.truncate(0, len(head)) == len(head)
    assert logits(model, 0, content) == cold


def test_a_copy_after_an_abort_in_its_source(
    model: LlamaModel, head: list[int], content: list[int], cold: Logits
) -> None:
    extend(model, {0: head})
    model.abort()
    with pytest.raises(DecodeAbortedError):
        extend(model, {0: content})
    model.clear_abort()
    model.truncate(0, len(head))
    assert model.copy(0, 1, len(head)) == len(head)
    assert logits(model, 1, content) == cold
