"""A request that has something unread for too long is ended, whether it is paused or not."""

from typing import cast

import anyio

from mcp_llama.engine.engine import Engine
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.metrics import EngineMetrics
from mcp_llama.engine.queue import QueueBounds
from mcp_llama.engine.token_loop import TokenLoop
from tests.engine.clock import Clock
from tests.engine.conftest import StartEngine
from tests.engine.sequences import admission, by_hand, finish, request, run
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S

STALL_S = 10.0
LIMITS = EngineLimits(unread_limit=5, stall_timeout=STALL_S)


def held_model(n_slots: int = 4, n_batch: int = 64) -> FakeModel:
    """A model whose every decode waits for the test."""
    model = FakeModel(n_slots=n_slots, n_batch=n_batch)
    model.gate.shut()
    return model


async def delivered() -> None:
    """Let the event loop deliver what the engine has handed over."""
    for _ in range(3):
        await anyio.lowlevel.checkpoint()


async def test_a_request_that_is_unread_but_not_paused_is_ended(start: StartEngine, clock: Clock) -> None:
    model = held_model()
    engine = start(model, LIMITS)
    async with engine.generate(request("aaa", 100)) as unread:
        model.gate.step(2)
        await model.gate.held()
        await delivered()
        clock.now += STALL_S
        model.gate.open()
        await run(engine, request("bbb"))
        result = await finish(unread)
    assert (result.finish_reason, result.text) == ("abort", by_hand("aaa", 3))


async def test_what_comes_later_does_not_make_the_unread_part_younger(start: StartEngine, clock: Clock) -> None:
    model = held_model()
    engine = start(model, LIMITS)
    async with engine.generate(request("aaa", 100)) as unread:
        for _ in range(2):
            model.gate.step()
            await model.gate.held()
            await delivered()
            clock.now += STALL_S / 2
        model.gate.open()
        await run(engine, request("bbb"))
        result = await finish(unread)
    assert (result.finish_reason, result.text) == ("abort", by_hand("aaa", 3))


async def test_a_paused_request_is_ended(start: StartEngine, clock: Clock) -> None:
    engine = start(FakeModel(), LIMITS)
    async with engine.generate(request("aaa", 100)) as paused:
        await run(engine, request("bbb", 50))
        clock.now += STALL_S
        await run(engine, request("ccc"))
        result = await finish(paused)
    assert (result.finish_reason, result.text) == ("abort", by_hand("aaa", 5))


async def test_prefill_that_nobody_reads_is_ended(start: StartEngine, clock: Clock) -> None:
    model = held_model(n_batch=4)
    engine = start(model, LIMITS)
    async with engine.generate(request("0123456789")) as unread:
        model.gate.step()
        await model.gate.held()
        await delivered()
        clock.now += STALL_S
        model.gate.open()
        await run(engine, request("bbb"))
        result = await finish(unread)
    assert (result.finish_reason, result.text, result.usage.completion_tokens) == ("abort", "", 0)


async def test_a_reader_that_comes_back_in_time_gets_all(start: StartEngine, clock: Clock) -> None:
    model = held_model()
    engine = start(model, LIMITS)
    async with engine.generate(request("aaa", 12)) as slow:
        for _ in range(3):
            model.gate.step(2)
            await model.gate.held()
            await delivered()
            clock.now += STALL_S - 1
            await slow.next()
        model.gate.open()
        result = await finish(slow)
    assert (result.finish_reason, result.text) == ("length", by_hand("aaa", 12))


async def test_a_paused_reader_that_comes_back_in_time_gets_all(start: StartEngine, clock: Clock) -> None:
    engine = start(FakeModel(), LIMITS)
    async with engine.generate(request("aaa", 12)) as slow:
        for _ in range(2):
            await run(engine, request("bbb", 50))
            clock.now += STALL_S - 1
            await slow.next()
        result = await finish(slow)
    assert (result.finish_reason, result.text) == ("length", by_hand("aaa", 12))


async def test_nothing_to_read_is_no_stall_however_long_it_lasts(start: StartEngine, clock: Clock) -> None:
    model = held_model()
    engine = start(model, LIMITS)
    async with engine.generate(request("aaa", 5)) as patient:
        await admission(patient)
        for _ in range(4):
            await model.gate.held()
            clock.now += 2 * STALL_S
            model.gate.step()
            await patient.next()
        model.gate.open()
        result = await finish(patient)
    assert (result.finish_reason, result.text) == ("length", by_hand("aaa", 5))


async def test_a_request_that_waits_for_its_slot_does_not_count_as_unread(start: StartEngine, clock: Clock) -> None:
    model = held_model(n_slots=1)
    engine = start(model, LIMITS)
    async with engine.generate(request("aaa", 4)) as a, engine.generate(request("bbb", 4)) as waiting:
        await model.gate.held()
        clock.now += 2 * STALL_S
        model.gate.open()
        assert (await finish(a)).text == by_hand("aaa", 4)
        assert (await finish(waiting)).text == by_hand("bbb", 4)


async def test_an_ended_request_that_nobody_reads_keeps_its_result(start: StartEngine, clock: Clock) -> None:
    engine = start(FakeModel(), LIMITS)
    async with engine.generate(request("aaa", 3)) as ended:
        await run(engine, request("bbb", 50))
        clock.now += 2 * STALL_S
        assert (await run(engine, request("ccc"))).text == by_hand("ccc", 8)
        result = await finish(ended)
    assert (result.finish_reason, result.text) == ("length", by_hand("aaa", 3))


async def test_what_is_on_its_way_to_the_mailbox_sets_the_alarm_too(clock: Clock) -> None:
    model = FakeModel()
    token_loop = TokenLoop(model, LIMITS, QueueBounds(model.n_slots, 1, 100), EngineMetrics())
    generation = Generation(cast(Engine, None), request("aaa", 100))
    token_loop.add(generation.sequence)
    assert token_loop.idle_timeout() is None
    # The event loop, which runs this test, delivers nothing meanwhile.
    while token_loop.step():
        pass
    assert generation.unread_since is None
    assert token_loop.idle_timeout() == STALL_S
    clock.now += STALL_S
    token_loop.step()
    assert token_loop.idle_timeout() is None


async def test_an_engine_with_nothing_to_compute_wakes_to_end_a_stalled_request(start: StartEngine) -> None:
    engine = start(FakeModel(n_slots=1), EngineLimits(unread_limit=5, stall_timeout=0.1))
    async with engine.generate(request("aaa", 100)) as stalled:
        with anyio.fail_after(PATIENCE_S):
            while stalled.sequence.paused_since is None:
                await anyio.lowlevel.checkpoint()
            async with engine.generate(request("bbb", 3)) as waiting:
                assert (await waiting.result()).text == by_hand("bbb", 3)
        result = await finish(stalled)
    assert (result.finish_reason, result.text) == ("abort", by_hand("aaa", 5))
