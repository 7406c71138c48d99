"""Every request for vectors ends, and what ends one leaves the others alone."""

import asyncio

import anyio
import pytest

from mcp_llama.engine.model import DecodeError
from mcp_llama.errors import BusyError, EngineError
from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, finish, request
from tests.engine.vectors import are_those_of, embedding, outcome, vectors
from tests.fake_model import FakeModel

LONG = "A text that takes several decodes. " * 10


def held_model(n_slots: int = 4) -> FakeModel:
    """A model whose every decode waits for the test."""
    model = FakeModel(n_slots=n_slots)
    model.gate.shut()
    return model


def fails_on_tabs(model: FakeModel) -> None:
    model.fault = lambda rows: DecodeError("no luck") if ord("\t") in rows.tokens else None


def texts_of(model: FakeModel) -> list[str]:
    return [bytes(tokens).decode() for tokens in model.embeds]


async def test_leaving_while_queued_takes_the_request_out(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with embedding(engine, "one") as first:
        await model.gate.held()
        async with embedding(engine, "two"):
            pass
        async with embedding(engine, "three") as third:
            model.gate.open()
            await outcome(first)
            assert are_those_of(await outcome(third), "three")
    assert texts_of(model) == ["one", "three"]


async def test_leaving_ends_the_decode_in_flight(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with embedding(engine, LONG, "never"):
        model.gate.step()
        await model.gate.held()
    async with embedding(engine, "two") as second:
        await model.gate.held()
        assert texts_of(model) == [LONG[:128], LONG[128:256], "two"]
        model.gate.open()
        assert are_those_of(await outcome(second), "two")


async def test_leaving_does_not_change_what_a_generation_says(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request("aaa", 20)) as generation:
        for _ in range(4):
            await model.gate.held()
            async with embedding(engine, LONG):
                while not model.embeds:
                    model.gate.step()
                    await model.gate.held()
            model.embeds.clear()
        model.gate.open()
        assert (await finish(generation)).text == by_hand("aaa", 20)


async def test_a_decode_that_another_request_aborted_begins_its_text_again(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with embedding(engine, "one", LONG) as submitted:
        model.gate.step(2)
        await model.gate.held()
        model.abort()
        await model.gate.held()
        model.gate.open()
        assert are_those_of(await outcome(submitted), "one", LONG)
    assert texts_of(model) == ["one", LONG[:128], LONG[128:256], LONG[:128], LONG[128:256], LONG[256:]]


async def test_cancelling_the_call_takes_the_request_out(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    with anyio.CancelScope() as scope:
        async with embedding(engine, LONG) as submitted:
            await model.gate.held()
            scope.cancel()
            await submitted.result()
    assert scope.cancelled_caught
    model.gate.open()
    assert are_those_of(await vectors(engine, "two"), "two")
    assert texts_of(model) == [LONG[:128], "two"]


async def test_leaving_after_the_end_does_nothing(start: StartEngine) -> None:
    engine = start(FakeModel())
    async with embedding(engine, "one") as first:
        await outcome(first)
        async with embedding(engine, LONG) as second:
            engine.abort_embedding(first)
            assert are_those_of(await outcome(second), LONG)


@pytest.mark.parametrize("text", ["\t", "x" * 200 + "\t"])
async def test_a_failing_decode_ends_only_the_request_at_fault(start: StartEngine, text: str) -> None:
    model = held_model()
    fails_on_tabs(model)
    engine = start(model)
    async with engine.generate(request("aaa", 20)) as generation:
        good, bad, late = embedding(engine, LONG, "two"), embedding(engine, "one", text), embedding(engine, "three")
        async with good, bad, late:
            model.gate.open()
            with pytest.raises(EngineError, match=r"llama\.cpp could not compute this text: no luck"):
                await outcome(bad)
            assert are_those_of(await outcome(good), LONG, "two")
            assert are_those_of(await outcome(late), "three")
        assert (await finish(generation)).text == by_hand("aaa", 20)
    assert are_those_of(await vectors(engine, "again"), "again")


async def test_a_failing_request_does_not_cost_the_next_one_its_turn(start: StartEngine) -> None:
    model = held_model()
    fails_on_tabs(model)
    engine = start(model)
    async with embedding(engine, "\t") as bad, embedding(engine, "one") as one, embedding(engine, "two") as two:
        await model.gate.held()
        model.gate.open()
        with pytest.raises(EngineError):
            await outcome(bad)
        assert are_those_of([*await outcome(one), *await outcome(two)], "one", "two")
    assert texts_of(model) == ["\t", "one", "two"]


async def test_a_defect_in_the_engine_ends_every_request(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with embedding(engine, LONG) as running, embedding(engine, "two") as queued:
        await model.gate.held()
        model.fault = lambda _: ValueError("a defect")
        model.gate.open()
        for submitted in (running, queued):
            with pytest.raises(EngineError, match="The engine failed"):
                await outcome(submitted)
    with pytest.raises(EngineError, match="The engine failed"):
        await vectors(engine, "three")


async def test_stopping_ends_what_runs_and_what_waits(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with embedding(engine, LONG) as running, embedding(engine, "two") as queued:
        await model.gate.held()
        engine.stop()
        for submitted in (running, queued):
            with pytest.raises(BusyError, match="the server is stopping") as busy:
                await outcome(submitted)
            assert busy.value.retry_after_s == 5
    assert len(model.embeds) == 1
    with pytest.raises(BusyError, match="the server is stopping"):
        await vectors(engine, "three")


async def test_closing_ends_what_runs_and_frees_the_model(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with embedding(engine, LONG) as running:
        await model.gate.held()
        engine.close()
        assert model.closed
        with pytest.raises(BusyError, match="the server is stopping"):
            await outcome(running)


def test_a_caller_whose_event_loop_was_closed_does_not_hurt_the_engine(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)

    async def enter() -> None:
        await embedding(engine, "one").__aenter__()
        await model.gate.held()

    asyncio.run(enter())
    model.gate.open()
    assert are_those_of(asyncio.run(vectors(engine, "two")), "two")
