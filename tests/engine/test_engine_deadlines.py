from mcp_llama.engine.limits import EngineLimits
from tests.engine.clock import Clock
from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, finish, request, run
from tests.fake_model import FakeModel


async def test_time_runs_out_while_decoding_and_the_partial_text_is_kept(start: StartEngine, clock: Clock) -> None:
    model = FakeModel()
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("aaa", 100, deadline=clock.now + 10)) as a, engine.generate(request("b")) as b:
        model.gate.step(4)
        await model.gate.held()
        clock.now += 10
        model.gate.open()
        result = await finish(a)
        neighbour = await finish(b)
    assert (result.finish_reason, result.text) == ("time", by_hand("aaa", 5))
    assert result.usage.completion_tokens == 5
    assert (neighbour.finish_reason, neighbour.text) == ("length", by_hand("b", 8))


async def test_time_runs_out_in_prefill(start: StartEngine, clock: Clock) -> None:
    model = FakeModel(n_batch=4)
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("0123456789", deadline=clock.now + 10)) as a:
        model.gate.step()
        await model.gate.held()
        clock.now += 11
        model.gate.open()
        result = await finish(a)
    assert (result.finish_reason, result.text, result.timings.ttft_s) == ("time", "", None)
    assert len(model.batches) == 2


async def test_time_runs_out_in_the_queue(start: StartEngine, clock: Clock) -> None:
    model = FakeModel(n_slots=1)
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("aaa")) as a, engine.generate(request("bbb", deadline=clock.now + 10)) as b:
        await model.gate.held()
        clock.now += 11
        model.gate.open()
        result = await finish(b)
        assert (await finish(a)).text == by_hand("aaa", 8)
    assert (result.finish_reason, result.text) == ("time", "")
    assert result.timings.queue_s == result.timings.total_s >= 10
    assert not any(ord("b") in rows.tokens for rows in model.batches if rows.outputs != [True])


async def test_a_deadline_in_the_future_changes_nothing(start: StartEngine, clock: Clock) -> None:
    engine = start(FakeModel())
    result = await run(engine, request("aaa", deadline=clock.now + 0.1))
    assert (result.finish_reason, result.text) == ("length", by_hand("aaa", 8))


async def test_text_held_back_for_a_stop_string_is_part_of_what_is_kept(start: StartEngine, clock: Clock) -> None:
    model = FakeModel()
    model.script("aaa", "ab<endless")
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("aaa", 100, stop=["<end>"], deadline=clock.now + 10)) as a:
        model.gate.step(4)
        await model.gate.held()
        clock.now += 10
        model.gate.open()
        assert (await finish(a)).text == "ab<en"


async def test_a_deadline_wakes_an_engine_whose_only_request_is_paused(start: StartEngine) -> None:
    engine = start(FakeModel(n_slots=1), EngineLimits(unread_limit=2))
    deadline = request("").arrival + 0.05
    async with engine.generate(request("aaa", 100, deadline=deadline)) as paused:
        await run(engine, request("bbb"))
        result = await finish(paused)
    assert (result.finish_reason, result.text) == ("time", by_hand("aaa", 2))
