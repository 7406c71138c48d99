import anyio
import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.errors import BusyError, EngineError
from tests.engine.conftest import StartEngine
from tests.engine.sequences import admission, by_hand, finish, request
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S


async def test_waiting_for_a_delta_may_end_without_one(start: StartEngine) -> None:
    model = FakeModel()
    model.gate.shut()
    engine = start(model)
    with anyio.fail_after(PATIENCE_S):
        async with engine.generate(request("aaa")) as generation:
            await admission(generation)
            assert await generation.next(timeout=0.01) is None
            assert await generation.next(timeout=0.0) is None
            model.gate.open()
            delta = await generation.next(timeout=PATIENCE_S)
            assert delta is not None
            assert (await generation.result()).text == by_hand("aaa", 8)


async def test_nothing_comes_after_the_last_delta(start: StartEngine) -> None:
    engine = start(FakeModel())
    async with engine.generate(request("aaa")) as generation:
        await finish(generation)
        with pytest.raises(StopAsyncIteration):
            await generation.next()
        assert [delta async for delta in generation] == []


async def test_the_result_has_the_text_that_was_read_before_it_was_asked_for(start: StartEngine) -> None:
    model = FakeModel()
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("aaa")) as generation:
        model.gate.step(2)
        await generation.next()
        model.gate.open()
        first = await finish(generation)
        assert first.text == by_hand("aaa", 8)
        assert await generation.result() == first


async def test_a_request_costs_at_most_its_prompt_and_max_tokens(start: StartEngine) -> None:
    assert start(FakeModel()).generate(request("aaa", max_tokens=20)).total_tokens == 23


async def test_a_wait_that_is_cancelled_loses_nothing(start: StartEngine) -> None:
    model = FakeModel()
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("aaa")) as generation:
        await admission(generation)
        with anyio.move_on_after(0.01):
            await generation.next()
        model.gate.open()
        assert (await finish(generation)).text == by_hand("aaa", 8)


async def test_a_failed_generation_never_has_a_result(start: StartEngine) -> None:
    model = FakeModel()
    model.fault = lambda _: ValueError("a defect")
    engine = start(model)
    async with engine.generate(request("aaa")) as generation:
        with anyio.fail_after(PATIENCE_S), pytest.raises(EngineError):
            async for _ in generation:
                pass
        for _ in range(2):
            with pytest.raises(EngineError):
                await finish(generation)


async def test_a_generation_that_was_refused_can_be_entered_later(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.gate.shut()
    engine = start(model, EngineLimits(max_queue=0))
    later = engine.generate(request("bbb"))
    async with engine.generate(request("aaa")) as a:
        with pytest.raises(BusyError):
            await later.__aenter__()
        model.gate.open()
        await finish(a)
    async with later:
        assert (await finish(later)).text == by_hand("bbb", 8)
