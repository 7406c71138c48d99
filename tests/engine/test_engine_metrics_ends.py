"""Each way to end is counted once, and as what it was."""

import pytest

from mcp_llama.engine.engine import Engine
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.metrics import EngineMetrics
from mcp_llama.engine.model import DecodeError
from mcp_llama.engine.sampling import SamplingParams
from mcp_llama.errors import BusyError, EngineError, RequestError
from tests.engine.clock import Clock
from tests.engine.conftest import StartEngine
from tests.engine.exported import exported
from tests.engine.sequences import finish, request, run
from tests.engine.vectors import vectors
from tests.fake_model import FakeModel

STALL_S = 10.0


@pytest.fixture
def metrics() -> EngineMetrics:
    return EngineMetrics()


@pytest.fixture
def model() -> FakeModel:
    """A model with one slot, whose every decode waits for the test."""
    model = FakeModel(n_slots=1)
    model.gate.shut()
    return model


@pytest.fixture
def engine(start: StartEngine, model: FakeModel, metrics: EngineMetrics) -> Engine:
    return start(model, EngineLimits(max_queue=1, stall_timeout=STALL_S), metrics)


def ends(metrics: EngineMetrics) -> dict[str, float]:
    """What was counted of the ends of requests, by short names."""
    values = exported(metrics.registry)
    return {
        name.removeprefix("mcp_llama_requests_"): value
        for name, value in values.items()
        if name.startswith("mcp_llama_requests_") and "_created" not in name and value
    }


async def test_requests_that_run_to_their_end(engine: Engine, model: FakeModel, metrics: EngineMetrics) -> None:
    model.script("stops", "a")
    model.gate.open()
    for prompt in ("aaa", "stops", "bbb", "stops", "stops"):
        await run(engine, request(prompt, 3))
    assert ends(metrics) == {
        'finished_total{finish_reason="length"}': 2,
        'finished_total{finish_reason="stop"}': 3,
    }


async def test_a_request_whose_time_runs_out(
    engine: Engine, model: FakeModel, metrics: EngineMetrics, clock: Clock
) -> None:
    async with engine.generate(request("aaa", 50, deadline=clock.now + 5)) as late:
        await model.gate.held()
        clock.now += 5
        model.gate.open()
        await finish(late)
    assert ends(metrics) == {'finished_total{finish_reason="time"}': 1}


async def test_a_request_that_is_left_while_it_runs(engine: Engine, model: FakeModel, metrics: EngineMetrics) -> None:
    async with engine.generate(request("aaa", 50)) as left:
        model.gate.step(3)
        await model.gate.held()
        left.stop()
        model.gate.open()
        await finish(left)
    assert ends(metrics) == {'finished_total{finish_reason="abort"}': 1, "cancelled_total": 1}


async def test_a_request_that_is_left_in_the_queue_has_no_times(
    engine: Engine, model: FakeModel, metrics: EngineMetrics
) -> None:
    async with engine.generate(request("aaa", 2)) as running, engine.generate(request("bbb", 2)) as waiting:
        await model.gate.held()
        waiting.stop()
        model.gate.open()
        await finish(waiting)
        await finish(running)
    assert ends(metrics) == {
        'finished_total{finish_reason="abort"}': 1,
        'finished_total{finish_reason="length"}': 1,
        "cancelled_total": 1,
    }
    values = exported(metrics.registry)
    assert values["mcp_llama_queue_seconds_count"] == values["mcp_llama_ttft_seconds_count"] == 1


async def test_a_request_that_is_left_after_its_end_is_not_cancelled(
    engine: Engine, model: FakeModel, metrics: EngineMetrics
) -> None:
    model.gate.open()
    async with engine.generate(request("aaa", 2)) as ended:
        await run(engine, request("bbb", 2))
        ended.stop()
        await run(engine, request("ccc", 2))
    assert ends(metrics) == {'finished_total{finish_reason="length"}': 3}


async def test_a_request_that_nobody_reads(
    engine: Engine, model: FakeModel, metrics: EngineMetrics, clock: Clock
) -> None:
    async with engine.generate(request("aaa", 400)):
        model.gate.step(3)
        await model.gate.held()
        clock.now += STALL_S
        model.gate.open()
        await run(engine, request("bbb", 2))
    assert ends(metrics) == {
        'finished_total{finish_reason="abort"}': 1,
        'finished_total{finish_reason="length"}': 1,
        "stalled_total": 1,
    }


async def test_a_request_that_finds_the_queue_full(engine: Engine, model: FakeModel, metrics: EngineMetrics) -> None:
    async with engine.generate(request("aaa", 2)) as first, engine.generate(request("bbb", 2)) as second:
        for _ in range(2):
            with pytest.raises(BusyError):
                await run(engine, request("ccc"))
        with pytest.raises(BusyError):
            await vectors(engine, "ddd")
        assert ends(metrics) == {"refused_total": 3}
        model.gate.open()
        await finish(first)
        await finish(second)


async def test_a_request_to_an_engine_that_stops_is_not_refused_for_the_queue(
    engine: Engine, metrics: EngineMetrics
) -> None:
    engine.stop()
    with pytest.raises(BusyError):
        await run(engine, request("aaa"))
    assert ends(metrics) == {}


async def test_a_stop_ends_requests_that_nobody_gave_up(
    engine: Engine, model: FakeModel, metrics: EngineMetrics
) -> None:
    async with engine.generate(request("aaa", 50)) as running, engine.generate(request("bbb", 50)) as waiting:
        await model.gate.held()
        engine.stop()
        await finish(running)
        await finish(waiting)
    assert ends(metrics) == {'finished_total{finish_reason="abort"}': 2}


async def test_requests_that_fail(engine: Engine, model: FakeModel, metrics: EngineMetrics) -> None:
    model.fault = lambda rows: DecodeError("no luck") if ord("\t") in rows.tokens else None
    model.gate.open()
    with pytest.raises(EngineError):
        await run(engine, request("\t"))
    with pytest.raises(RequestError):
        await run(engine, request("ccc", sampling=SamplingParams(seed=0, logit_bias=((10**6, 1.0),))))
    assert ends(metrics) == {"failed_total": 2}
    assert exported(metrics.registry)["llamacpp:n_decode_total"] == 0
