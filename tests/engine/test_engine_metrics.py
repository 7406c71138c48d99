import pytest

from mcp_llama.engine.engine import Engine
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.metrics import EngineMetrics
from mcp_llama.engine.model import DecodeError
from tests.engine.clock import Clock
from tests.engine.conftest import StartEngine
from tests.engine.exported import exported, exported_types
from tests.engine.sequences import admission, finish, request, run
from tests.engine.shared_prompts import HEAD, LONG
from tests.engine.shared_prompts import held_model as chunked_model
from tests.fake_model import FakeModel

COUNTERS = (
    "llamacpp:prompt_tokens_total",
    "llamacpp:prompt_tokens_cached_total",
    "llamacpp:prompt_seconds_total",
    "llamacpp:tokens_predicted_total",
    "llamacpp:tokens_predicted_seconds_total",
    "llamacpp:n_decode_total",
    "mcp_llama_prefix_cache_hits_total",
    "mcp_llama_prefix_cache_misses_total",
    "mcp_llama_requests_finished_total",
    "mcp_llama_requests_failed_total",
    "mcp_llama_requests_cancelled_total",
    "mcp_llama_requests_stalled_total",
    "mcp_llama_requests_refused_total",
    "mcp_llama_reader_pauses_total",
    "mcp_llama_preemptions_total",
    "mcp_llama_llama_cpu_seconds_total",
)
GAUGES = (
    "llamacpp:n_tokens_max",
    "llamacpp:prompt_tokens_seconds",
    "llamacpp:predicted_tokens_seconds",
    "llamacpp:requests_processing",
    "llamacpp:requests_deferred",
    "llamacpp:n_busy_slots_per_decode",
)
HISTOGRAMS = ("mcp_llama_ttft_seconds", "mcp_llama_itl_seconds", "mcp_llama_queue_seconds", "mcp_llama_batch_rows")


@pytest.fixture
def metrics() -> EngineMetrics:
    return EngineMetrics()


def held_model(n_slots: int = 4, n_batch: int = 64) -> FakeModel:
    """A model whose every decode waits for the test."""
    model = FakeModel(n_slots=n_slots, n_batch=n_batch)
    model.gate.shut()
    return model


async def second_by_second(engine: Engine, model: FakeModel, clock: Clock, prompt: str, max_tokens: int) -> None:
    """A request that waited for two seconds when it comes, and whose every decode takes one."""
    async with engine.generate(request(prompt, max_tokens, arrival=clock.now - 2)) as generation:
        await admission(generation)
        chunks = -(-len(prompt) // model.n_batch)
        for _ in range(chunks + max_tokens - 1):
            await model.gate.held()
            clock.now += 1
            model.gate.step()
            await generation.next()
        await finish(generation)


def test_every_metric_has_its_name_and_its_type(metrics: EngineMetrics) -> None:
    expected = dict.fromkeys(COUNTERS, "counter") | dict.fromkeys(GAUGES, "gauge")
    assert exported_types(metrics.registry) == expected | dict.fromkeys(HISTOGRAMS, "histogram")


def test_an_engine_that_has_done_nothing_exports_zeros(metrics: EngineMetrics) -> None:
    values = {name: value for name, value in exported(metrics.registry).items() if "_created" not in name}
    # The threads of whatever else the process has loaded count as llama.cpp's.
    del values["mcp_llama_llama_cpu_seconds_total"]
    assert set(GAUGES) <= set(values)
    assert set(values.values()) == {0}


async def test_one_request_is_counted_and_timed(start: StartEngine, clock: Clock, metrics: EngineMetrics) -> None:
    model = held_model(n_batch=4)
    await second_by_second(start(model, None, metrics), model, clock, "0123456789", 3)
    values = exported(metrics.registry)
    assert [values[name] for name in COUNTERS[:6]] == [10, 0, pytest.approx(3), 3, pytest.approx(2), 5]
    assert [values[name] for name in GAUGES] == [13, pytest.approx(10 / 3), pytest.approx(3 / 2), 0, 0, 1]
    assert [values[f"{name}_sum"] for name in HISTOGRAMS] == [*map(pytest.approx, (5, 2, 2)), 12]
    assert [values[f"{name}_count"] for name in HISTOGRAMS] == [1, 2, 1, 5]
    assert values['mcp_llama_requests_finished_total{finish_reason="length"}'] == 1


async def test_tokens_from_the_cache_are_counted_apart(
    start: StartEngine, clock: Clock, metrics: EngineMetrics
) -> None:
    model = FakeModel()
    engine = start(model, None, metrics)
    await run(engine, request("a prompt", 2))
    await run(engine, request("a prompt", 2))
    await run(engine, request("another", 2))
    values = exported(metrics.registry)
    assert values["llamacpp:prompt_tokens_total"] == len("a prompt") + 1 + len("nother")
    assert values["llamacpp:prompt_tokens_cached_total"] == len("a promp") + len("a")
    assert values["mcp_llama_prefix_cache_hits_total"] == 2
    assert values["mcp_llama_prefix_cache_misses_total"] == 1


async def test_a_copied_prefix_counts_as_cached(start: StartEngine, metrics: EngineMetrics) -> None:
    model = chunked_model()
    engine = start(model, None, metrics)
    async with engine.generate(request(HEAD + "one")) as first, engine.generate(request(HEAD + "two")) as second:
        model.gate.open()
        await finish(first)
        await finish(second)
    values = exported(metrics.registry)
    assert values["llamacpp:prompt_tokens_total"] == LONG + 6
    assert values["llamacpp:prompt_tokens_cached_total"] == LONG
    assert values["llamacpp:tokens_predicted_total"] == 16


async def test_rows_and_sequences_of_each_decode_are_counted(start: StartEngine, metrics: EngineMetrics) -> None:
    model = held_model()
    engine = start(model, None, metrics)
    async with engine.generate(request("aaa", 5)) as a:
        await model.gate.held()
        async with engine.generate(request("bbbbb", 9)) as b:
            model.gate.open()
            await finish(a)
            await finish(b)
    values = exported(metrics.registry)
    assert [len(set(rows.slots)) for rows in model.batches] == [1] + [2] * 4 + [1] * 5
    assert values["llamacpp:n_busy_slots_per_decode"] == pytest.approx(14 / 10)
    assert values["llamacpp:n_decode_total"] == values["mcp_llama_batch_rows_count"] == 10
    assert values["mcp_llama_batch_rows_sum"] == sum(map(len, model.batches))
    assert values['mcp_llama_batch_rows_bucket{le="1.0"}'] == 5
    assert values['mcp_llama_batch_rows_bucket{le="2.0"}'] == 8
    assert values['mcp_llama_batch_rows_bucket{le="8.0"}'] == 10


async def test_a_decode_that_failed_is_not_counted(start: StartEngine, metrics: EngineMetrics) -> None:
    model = held_model()
    model.fault = lambda rows: DecodeError("no luck") if len(set(rows.slots)) > 1 else None
    engine = start(model, None, metrics)
    async with engine.generate(request("aaa", 2)) as a, engine.generate(request("bbb", 2)) as b:
        model.gate.open()
        await finish(a)
        await finish(b)
    values = exported(metrics.registry)
    assert values["llamacpp:n_decode_total"] == sum(len(set(rows.slots)) == 1 for rows in model.batches)
    assert values["llamacpp:prompt_tokens_total"] == 6
    assert values["llamacpp:tokens_predicted_total"] == 4


async def test_running_and_waiting_requests_are_shown(start: StartEngine, metrics: EngineMetrics) -> None:
    model = held_model(n_slots=1)
    engine = start(model, None, metrics)
    a, b, c = (engine.generate(request(prompt, 2)) for prompt in ("aaa", "bbb", "ccc"))
    async with a, b, c:
        await model.gate.held()
        model.gate.step()
        await model.gate.held()
        values = exported(metrics.registry)
        assert (values["llamacpp:requests_processing"], values["llamacpp:requests_deferred"]) == (1, 2)
        model.gate.open()
        for generation in (a, b, c):
            await finish(generation)
    values = exported(metrics.registry)
    assert (values["llamacpp:requests_processing"], values["llamacpp:requests_deferred"]) == (0, 0)


async def test_the_longest_sequence_is_remembered(start: StartEngine, metrics: EngineMetrics) -> None:
    engine = start(FakeModel(), None, metrics)
    for prompt, max_tokens in (("aaa", 4), ("bbbbbbbb", 7), ("c", 2)):
        await run(engine, request(prompt, max_tokens))
    assert exported(metrics.registry)["llamacpp:n_tokens_max"] == 15


async def test_pauses_of_readers_are_counted(start: StartEngine, metrics: EngineMetrics) -> None:
    engine = start(FakeModel(), EngineLimits(unread_limit=5), metrics)
    async with engine.generate(request("aaa", 15)) as slow:
        for _ in range(2):
            # These are too short to pause.
            for _ in range(3):
                await run(engine, request("bbb", 4))
            await slow.next()
        await finish(slow)
    assert exported(metrics.registry)["mcp_llama_reader_pauses_total"] == 2


async def test_engines_count_apart(start: StartEngine, metrics: EngineMetrics) -> None:
    other = EngineMetrics()
    await run(start(FakeModel(), None, metrics), request("aaa", 3))
    await run(start(FakeModel(), None, other), request("aaa", 5))
    assert exported(metrics.registry)["llamacpp:tokens_predicted_total"] == 3
    assert exported(other.registry)["llamacpp:tokens_predicted_total"] == 5
