import anyio
import pytest

from mcp_llama.errors import BusyError
from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, finish, request, run
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S


async def test_stopping_ends_every_request_with_its_partial_text(start: StartEngine) -> None:
    model = FakeModel(n_slots=2)
    model.gate.shut()
    engine = start(model)
    a, b, queued = (engine.generate(request(prompt, 50)) for prompt in ("aaa", "bbb", "ccc"))
    async with a, b, queued:
        model.gate.step(5)
        await model.gate.held()
        engine.stop()
        results = [await finish(generation) for generation in (a, b, queued)]
    assert [result.finish_reason for result in results] == ["abort"] * 3
    assert results[0].text == by_hand("aaa", 5)
    assert results[1].text == by_hand("bbb", results[1].usage.completion_tokens)
    assert results[1].usage.completion_tokens >= 4
    assert (results[2].text, results[2].usage.completion_tokens) == ("", 0)


async def test_stopping_ends_the_decode_in_flight(start: StartEngine) -> None:
    model = FakeModel()
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("a" * 60)) as a:
        await model.gate.held()
        engine.stop()
        assert (await finish(a)).finish_reason == "abort"
    assert len(model.batches) == 1


async def test_a_stopped_engine_refuses_new_requests(start: StartEngine) -> None:
    engine = start(FakeModel())
    engine.stop()
    with pytest.raises(BusyError, match="the server is stopping") as busy:
        await run(engine, request("aaa"))
    assert busy.value.retry_after_s == 5


async def test_a_request_that_was_prepared_before_the_stop_is_refused(start: StartEngine) -> None:
    engine = start(FakeModel())
    prepared = engine.generate(request("aaa"))
    engine.stop()
    with pytest.raises(BusyError):
        await prepared.__aenter__()


async def test_closing_ends_what_runs_and_frees_the_model(start: StartEngine) -> None:
    model = FakeModel()
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("aaa", 50)) as a:
        await model.gate.held()
        engine.close()
        assert model.closed
        assert (await finish(a)).finish_reason == "abort"


async def test_closing_twice_does_nothing_more(start: StartEngine) -> None:
    engine = start(FakeModel())
    engine.close()
    engine.close()
    with pytest.raises(BusyError):
        await run(engine, request("aaa"))


async def test_a_reader_that_waits_is_woken_by_the_stop(start: StartEngine) -> None:
    model = FakeModel()
    model.gate.shut()
    engine = start(model)
    reasons: list[str] = []

    async def read() -> None:
        reasons.append((await run(engine, request("aaa"))).finish_reason)

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await model.gate.held()
            engine.stop()
    assert reasons == ["abort"]
