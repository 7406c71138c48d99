"""A request that is answered whole: one delta at the end says all."""

import anyio
import pytest

from mcp_llama.api import Result
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.metrics import EngineMetrics
from mcp_llama.engine.types import TokenDelta
from tests.engine.clock import Clock
from tests.engine.conftest import StartEngine
from tests.engine.exported import exported
from tests.engine.pools import MOST, OLD, YOUNG, asked, pool_model, until_preempted
from tests.engine.sequences import by_hand, finish, request, run
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S


def held_model() -> FakeModel:
    """A model whose every decode waits for the test."""
    model = FakeModel()
    model.gate.shut()
    return model


async def only_delta(generation: Generation) -> TokenDelta:
    """The one delta that there is."""
    with anyio.fail_after(PATIENCE_S):
        (delta,) = [delta async for delta in generation]
    return delta


def said(result: Result) -> str:
    """The text of the tokens that have log probabilities."""
    return b"".join(entry.sampled.piece for entry in result.logprobs).decode()


async def test_one_delta_at_the_end_has_everything(start: StartEngine) -> None:
    engine = start(FakeModel())
    async with engine.generate(request("aaa", 30, streamed=False)) as generation:
        delta = await only_delta(generation)
        result = await finish(generation)
    assert delta.finish is not None
    assert (delta.text, delta.finish.reason) == (by_hand("aaa", 30), "length")
    assert (delta.computed_tokens, delta.completion_tokens) == (33, 30)
    assert delta.admitted is not None
    assert delta.first_token is not None
    assert result.text == delta.text
    assert result.timings.queue_s <= (result.timings.ttft_s or 0) <= result.timings.total_s


async def test_nothing_comes_before_the_end(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request("aaa", 30, streamed=False)) as generation:
        model.gate.step(10)
        await model.gate.held()
        assert await generation.next(timeout=0) is None
        assert generation.unread_since is None
        model.gate.open()
        assert (await finish(generation)).text == by_hand("aaa", 30)


@pytest.mark.parametrize("streamed", [True, False])
async def test_the_log_probabilities_are_those_of_a_stream(start: StartEngine, streamed: bool) -> None:
    engine = start(FakeModel())
    result = await run(engine, request("aaa", 12, top_logprobs=2, streamed=streamed))
    assert said(result) == result.text == by_hand("aaa", 12)
    assert all(len(entry.top) == 2 for entry in result.logprobs)


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_stop_string_ends_it_and_is_left_out(start: StartEngine, streamed: bool) -> None:
    model = FakeModel()
    model.script("aaa", ["one ", "tw", "o th", "ree"])
    engine = start(model)
    result = await run(engine, request("aaa", 12, stop=["o th"], top_logprobs=0, streamed=streamed))
    assert (result.text, result.finish_reason, result.stop) == ("one tw", "stop", "o th")
    assert said(result) == "one tw"


async def test_characters_that_span_tokens_are_whole(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["x", b"\xe2\x82", b"\xac", b"\xf0\x9f"])
    result = await run(start(model), request("aaa", 12, streamed=False))
    assert result.text == "x€"


async def test_leaving_ends_it_within_one_step(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request("aaa", 30, streamed=False)) as generation:
        model.gate.step(5)
        await model.gate.held()
    model.gate.open()
    result = await finish(generation)
    assert (result.finish_reason, result.text) == ("abort", by_hand("aaa", result.usage.completion_tokens))
    assert 5 <= result.usage.completion_tokens <= 6
    assert len(model.batches) <= 6


async def test_its_deadline_ends_it_with_what_it_has(start: StartEngine, clock: Clock) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request("aaa", 30, deadline=clock.now + 10, streamed=False)) as generation:
        model.gate.step(5)
        await model.gate.held()
        clock.now += 10
        model.gate.open()
        delta = await only_delta(generation)
    assert delta.finish is not None
    assert (delta.text, delta.finish.reason) == (by_hand("aaa", 6), "time")


async def test_it_is_never_paused_or_ended_because_nobody_reads_it(start: StartEngine, clock: Clock) -> None:
    metrics = EngineMetrics()
    model = held_model()
    engine = start(model, EngineLimits(unread_limit=2, stall_timeout=10.0), metrics)
    async with engine.generate(request("aaa", 30, streamed=False)) as generation:
        for _ in range(20):
            await model.gate.held()
            clock.now += 10
            model.gate.step()
        model.gate.open()
        assert (await finish(generation)).text == by_hand("aaa", 30)
    values = exported(metrics.registry)
    assert (values["mcp_llama_reader_pauses_total"], values["mcp_llama_requests_stalled_total"]) == (0, 0)


async def test_one_that_was_preempted_has_everything_too(start: StartEngine) -> None:
    model = pool_model()
    engine = start(model)
    async with engine.generate(asked(OLD)) as old:
        await model.gate.held()
        async with engine.generate(request(YOUNG, MOST, streamed=False)) as young:
            await until_preempted(model, young)
            model.gate.open()
            assert (await finish(old)).text == by_hand(OLD, MOST)
            assert (await only_delta(young)).text == by_hand(YOUNG, MOST)


async def test_stopping_the_engine_ends_it_with_what_it_has(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request("aaa", 30, streamed=False)) as generation:
        model.gate.step(5)
        await model.gate.held()
        engine.stop()
        delta = await only_delta(generation)
    assert delta.finish is not None
    assert (delta.text, delta.finish.reason) == (by_hand("aaa", delta.completion_tokens), "abort")
