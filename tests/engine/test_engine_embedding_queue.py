from contextlib import AsyncExitStack

import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.model import DecodeError
from mcp_llama.errors import BusyError, EngineError
from tests.engine.conftest import StartEngine
from tests.engine.sequences import finish, request, run
from tests.engine.vectors import are_those_of, embedding, outcome, vectors
from tests.fake_model import FakeModel

LONG = "A text that takes several decodes. " * 10


async def test_a_full_queue_refuses_until_there_is_room(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.gate.shut()
    engine = start(model, EngineLimits(max_queue=1))
    async with engine.generate(request("aaa")) as generation, embedding(engine, "one") as first:
        with pytest.raises(BusyError, match="1 requests are waiting already"):
            await vectors(engine, "two")
        with pytest.raises(BusyError, match="1 requests are waiting already"):
            await run(engine, request("bbb"))
        model.gate.open()
        await finish(generation)
        await outcome(first)
    assert are_those_of(await vectors(engine, "two"), "two")


async def test_the_tokens_of_all_texts_count_for_the_queue(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.gate.shut()
    engine = start(model, EngineLimits(max_queue_tokens=10))
    async with engine.generate(request("aaa")), engine.generate(request("b" * 5)):
        await model.gate.held()
        with pytest.raises(BusyError, match="5 prompt tokens are waiting already"):
            await vectors(engine, "two", "too")


async def test_every_way_to_end_leaves_the_queue(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.fault = lambda rows: DecodeError("no luck") if ord("\t") in rows.tokens else None
    engine = start(model, EngineLimits(max_queue=3, max_queue_tokens=2 * len(LONG)))
    for _ in range(10):
        await vectors(engine, "one", "two")
        with pytest.raises(EngineError):
            await vectors(engine, "one", "\t")
        model.gate.shut()
        async with embedding(engine, LONG):
            await model.gate.held()
            async with embedding(engine, "queued"):
                pass
        model.gate.open()
    await vectors(engine, "one")
    model.gate.shut()
    async with AsyncExitStack() as entered:
        for _ in range(4):
            await entered.enter_async_context(embedding(engine, "one"))
        with pytest.raises(BusyError, match="3 requests are waiting already"):
            await vectors(engine, "three")
        model.gate.open()
