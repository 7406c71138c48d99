import math
import re

import anyio
import pytest

from mcp_llama.engine.model import EMBED_ROWS, Pooling
from mcp_llama.errors import ContextLengthError, RequestError
from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, finish, request
from tests.engine.vectors import are_those_of, embedding, outcome, vectors
from tests.fake_model import FakeModel

LONG = "A text that takes several decodes. " * 10
"""More tokens than two decodes take."""


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
async def test_each_text_gets_its_vector_in_their_order(start: StartEngine, pooling: Pooling) -> None:
    model = FakeModel()
    model.pooling = pooling
    texts = ["one", "two", LONG, "three", "two"]
    found = await vectors(start(model), *texts)
    assert are_those_of(found, *texts, pooling=pooling)
    assert all(math.isclose(sum(float(x) ** 2 for x in vector), 1, abs_tol=1e-5) for vector in found)


async def test_a_long_text_is_computed_in_parts(start: StartEngine) -> None:
    model = FakeModel()
    await vectors(start(model), LONG)
    assert [len(part) for part in model.embeds] == [EMBED_ROWS, EMBED_ROWS, len(LONG) - 2 * EMBED_ROWS]
    assert bytes(token for part in model.embeds for token in part) == LONG.encode()


async def test_requests_take_turns_text_by_text(start: StartEngine) -> None:
    model = FakeModel()
    model.gate.shut()
    engine = start(model)
    async with embedding(engine, "a1", LONG, "a3") as a, embedding(engine, "b1", "b2") as b:
        await model.gate.held()
        model.gate.open()
        assert are_those_of(await outcome(b), "b1", "b2")
        await outcome(a)
    parts = [LONG[:EMBED_ROWS], LONG[EMBED_ROWS : 2 * EMBED_ROWS], LONG[2 * EMBED_ROWS :]]
    assert [bytes(tokens).decode() for tokens in model.embeds] == ["a1", "b1", *parts, "b2", "a3"]


async def test_many_requests_each_get_their_own_vectors(start: StartEngine) -> None:
    engine = start(FakeModel(n_ctx=2048))
    answered: list[str] = []

    async def ask(text: str) -> None:
        assert are_those_of(await vectors(engine, text), text)
        answered.append(text)

    texts = [letter * (50 * number + 1) for number, letter in enumerate("abcdefghijklmnopqrst")]
    async with anyio.create_task_group() as tasks:
        for text in texts:
            tasks.start_soon(ask, text)
    assert sorted(answered) == texts


async def test_generations_and_vectors_are_computed_in_turn(start: StartEngine) -> None:
    model = FakeModel()
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("aaa", 20)) as generation, embedding(engine, LONG, "two") as submitted:
        for steps in range(1, 4):
            await model.gate.held()
            model.gate.step(2)
            await model.gate.held()
            assert abs(len(model.batches) - 1 - steps) <= 1
            assert abs(len(model.embeds) - steps) <= 1
        model.gate.open()
        assert are_those_of(await outcome(submitted), LONG, "two")
        assert (await finish(generation)).text == by_hand("aaa", 20)


async def test_vectors_take_no_slot(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    engine = start(model)
    async with engine.generate(request("aaa", 400)) as generation:
        assert are_those_of(await vectors(engine, "one"), "one")
        generation.stop()
    assert all(tokens[:3] == list(b"aaa") for tokens in model.slots if tokens)


@pytest.mark.parametrize("texts", [[], [""], ["one", ""]])
async def test_nothing_to_embed_is_refused(start: StartEngine, texts: list[str]) -> None:
    with pytest.raises(RequestError, match=re.escape("The input is empty. Send at least one token for each text.")):
        embedding(start(FakeModel()), *texts)


async def test_a_text_longer_than_the_context_is_refused_with_the_numbers(start: StartEngine) -> None:
    engine = start(FakeModel(n_ctx=32))
    with pytest.raises(ContextLengthError, match="The text has 33 tokens, but the context holds 32") as refused:
        embedding(engine, "short", "x" * 33)
    assert (refused.value.prompt_tokens, refused.value.max_tokens, refused.value.limit) == (33, 0, 32)
    assert are_those_of(await vectors(engine, "x" * 32), "x" * 32)
