import anyio
import pytest

from mcp_llama.engine.limits import EngineLimits
from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, finish, request, run
from tests.fake_model import FakeModel

LONG = "0123456789" * 5


def held_model(*, n_slots: int = 4, n_batch: int = 64, can_cut: bool = True) -> FakeModel:
    """A model whose every decode waits for the test."""
    model = FakeModel(n_slots=n_slots, n_batch=n_batch, can_cut=can_cut)
    model.gate.shut()
    return model


async def test_leaving_while_queued_takes_the_request_out(start: StartEngine) -> None:
    model = held_model(n_slots=1)
    engine = start(model)
    async with engine.generate(request("aaa")) as a:
        await model.gate.held()
        async with engine.generate(request("bbb")):
            pass
        async with engine.generate(request("ccc")) as c:
            model.gate.open()
            assert [(await finish(a)).text, (await finish(c)).text] == [by_hand("aaa", 8), by_hand("ccc", 8)]
    assert not any(ord("b") in rows.tokens for rows in model.batches if rows.outputs != [True])


async def test_leaving_before_the_engine_has_seen_the_request_takes_it_out(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request("aaa")) as a:
        await model.gate.held()
        async with engine.generate(request("bbb")):
            pass
        model.gate.open()
        await finish(a)
    assert all(set(rows.slots) == {0} for rows in model.batches)


async def test_leaving_in_prefill_ends_the_decode_in_flight(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request("aaa")) as a:
        await model.gate.held()
        async with engine.generate(request(LONG)):
            model.gate.step()
            await model.gate.held()
            assert model.batches[1].slots == [0] + [1] * 32
        await model.gate.held()
        assert model.batches[2].slots == [0]
        assert model.slots[1] == []
        model.gate.open()
        assert (await finish(a)).text == by_hand("aaa", 8)


async def test_leaving_in_a_later_chunk_of_a_prefill_keeps_the_earlier_ones(start: StartEngine) -> None:
    model = held_model(n_batch=40)
    engine = start(model)
    async with engine.generate(request("x" * 100)):
        model.gate.step()
        await model.gate.held()
    async with engine.generate(request("x" * 100)) as again:
        await model.gate.held()
        model.gate.open()
        result = await finish(again)
    assert (result.usage.cached_tokens, result.text) == (40, by_hand("x" * 100, 8))


async def test_leaving_with_few_rows_in_flight_lets_the_decode_end(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request("aaa")) as a:
        await model.gate.held()
        async with engine.generate(request("bbb")):
            model.gate.step()
            await model.gate.held()
        model.gate.step()
        await model.gate.held()
        assert [rows.slots for rows in model.batches[1:]] == [[0, 1, 1, 1], [0]]
        assert bytes(model.slots[1]) == b"bbb"
        model.gate.open()
        assert (await finish(a)).text == by_hand("aaa", 8)


async def test_leaving_while_decoding_frees_the_slot_within_one_step(start: StartEngine) -> None:
    model = held_model(n_slots=2)
    engine = start(model)
    async with engine.generate(request("aaa")) as a:
        await model.gate.held()
        async with engine.generate(request("bbb", max_tokens=100)):
            model.gate.step(3)
            await model.gate.held()
        async with engine.generate(request("ccc")) as c:
            model.gate.step()
            await model.gate.held()
            assert model.batches[3].slots == [0, 1]
            assert model.batches[4].slots == [0, 1, 1, 1]
            assert bytes(model.batches[4].tokens[1:]) == b"ccc"
            model.gate.open()
            assert [(await finish(a)).text, (await finish(c)).text] == [by_hand("aaa", 8), by_hand("ccc", 8)]


async def test_leaving_while_paused_frees_the_slot_within_one_step(start: StartEngine) -> None:
    model = FakeModel(n_slots=2)
    engine = start(model, EngineLimits(unread_limit=3))
    async with engine.generate(request("aaa", max_tokens=20)) as paused:
        await run(engine, request("bbb", max_tokens=40))
        assert paused.sequence.paused_since is not None
        model.gate.shut()
        c, d = engine.generate(request("ccc")), engine.generate(request("ddd"))
        await c.__aenter__()
        await d.__aenter__()
        await model.gate.held()
        assert bytes(model.batches[-1].tokens) == b"ccc"
    model.gate.step()
    await model.gate.held()
    assert model.batches[-1].slots == [0, 0, 0, 1]
    model.gate.open()
    assert [(await finish(c)).text, (await finish(d)).text] == [by_hand("ccc", 8), by_hand("ddd", 8)]


async def test_leaving_after_the_end_does_nothing(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    engine = start(model)
    async with engine.generate(request("aaa")) as a:
        await finish(a)
        async with engine.generate(request("bbb", max_tokens=30)) as b:
            engine.abort(a.sequence)
            assert (await finish(b)).text == by_hand("bbb", 30)


async def test_leaving_an_ended_generation_unread_does_nothing(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    engine = start(model)
    async with engine.generate(request("aaa", max_tokens=3)):
        assert (await run(engine, request("bbb"))).text == by_hand("bbb", 8)
    assert (await run(engine, request("ccc"))).text == by_hand("ccc", 8)


async def test_cancelling_the_call_frees_the_slot(start: StartEngine) -> None:
    model = held_model(n_slots=1)
    engine = start(model)
    with anyio.CancelScope() as scope:
        async with engine.generate(request("aaa", max_tokens=400)) as a:
            await model.gate.held()
            scope.cancel()
            await a.result()
    assert scope.cancelled_caught
    model.gate.open()
    assert (await run(engine, request("bbb"))).text == by_hand("bbb", 8)
    assert len(model.batches) == 9


@pytest.mark.parametrize("can_cut", [True, False])
async def test_neighbours_of_an_aborted_decode_say_the_same(start: StartEngine, can_cut: bool) -> None:
    model = held_model(can_cut=can_cut)
    engine = start(model)
    async with engine.generate(request("aaa", 20)) as a, engine.generate(request("bbb", 20)) as b:
        for _ in range(4):
            await model.gate.held()
            async with engine.generate(request(LONG, 20)):
                model.gate.step()
                await model.gate.held()
        model.gate.open()
        assert [(await finish(a)).text, (await finish(b)).text] == [by_hand("aaa", 20), by_hand("bbb", 20)]
