"""Where cells run out, the newest request waits, and goes on later as if nothing had been."""

from contextlib import AsyncExitStack

import anyio
import pytest

from mcp_llama.engine.generation import Generation
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.metrics import EngineMetrics
from mcp_llama.engine.types import TokenDelta
from tests.engine.conftest import StartEngine
from tests.engine.exported import exported
from tests.engine.pools import MOST, OLD, POOL, YOUNG, asked, pool_model, read, until_preempted
from tests.engine.sequences import by_hand, finish, request, run
from tests.engine.shared_prompts import HEAD, LONG
from tests.fake_model import FakeModel


@pytest.mark.parametrize("can_cut", [True, False])
async def test_only_the_newest_waits_and_each_says_what_it_says_alone(start: StartEngine, can_cut: bool) -> None:
    model = pool_model(can_cut=can_cut)
    engine = start(model)
    async with engine.generate(asked(OLD)) as old:
        await model.gate.held()
        async with engine.generate(asked(YOUNG)) as young:
            await until_preempted(model, young)
            slot = old.sequence.slot
            assert slot is not None
            assert model.batches[-1].slots == [slot.id]
            model.gate.open()
            assert (await finish(old)).text == by_hand(OLD, MOST)
            assert all(slot.id in rows.slots for rows in model.batches[:MOST])
            result = await finish(young)
    assert result.text == by_hand(YOUNG, MOST)
    assert (result.finish_reason, result.usage.completion_tokens) == ("length", MOST)


async def test_a_reader_of_a_preempted_request_sees_only_a_pause(start: StartEngine) -> None:
    model = pool_model()
    engine = start(model)
    seen: dict[Generation, list[TokenDelta]] = {}

    async def keep(generation: Generation) -> None:
        seen[generation] = await read(generation)

    async with engine.generate(asked(OLD)) as old:
        await model.gate.held()
        async with engine.generate(asked(YOUNG)) as young, anyio.create_task_group() as tasks:
            tasks.start_soon(keep, old)
            tasks.start_soon(keep, young)
            await until_preempted(model, young)
            model.gate.open()
        for generation, prompt in ((old, OLD), (young, YOUNG)):
            deltas = seen[generation]
            assert "".join(delta.text for delta in deltas) == (await finish(generation)).text == by_hand(prompt, MOST)
            for counts in (
                [delta.computed_tokens for delta in deltas],
                [delta.completion_tokens for delta in deltas],
            ):
                assert counts == sorted(counts)
            assert len({delta.admitted for delta in deltas}) == 1
            assert len({delta.first_token for delta in deltas if delta.completion_tokens}) == 1


async def test_one_that_is_preempted_in_its_prompt_never_reports_less_than_before(start: StartEngine) -> None:
    model = pool_model(n_slots=2, n_batch=2)
    engine = start(model)
    deltas: list[TokenDelta] = []

    async def keep(generation: Generation) -> None:
        deltas.extend(await read(generation))

    async with engine.generate(asked(OLD)) as old:
        await model.gate.held()
        async with engine.generate(request("y" * 60, 2)) as young, anyio.create_task_group() as tasks:
            tasks.start_soon(keep, young)
            await until_preempted(model, young)
            assert young.sequence.first_token is None
            model.gate.open()
        assert (await finish(old)).text == by_hand(OLD, MOST)
    computed = [delta.computed_tokens for delta in deltas]
    assert computed == sorted(computed)
    assert "".join(delta.text for delta in deltas) == by_hand("y" * 60, 2)


async def test_preemptions_are_counted(start: StartEngine) -> None:
    model, metrics = pool_model(), EngineMetrics()
    engine = start(model, None, metrics)
    async with engine.generate(asked(OLD)) as old:
        await model.gate.held()
        async with engine.generate(asked(YOUNG)) as young:
            await until_preempted(model, young)
            values = exported(metrics.registry)
            assert values["mcp_llama_preemptions_total"] == 1
            assert (values["llamacpp:requests_processing"], values["llamacpp:requests_deferred"]) == (1, 1)
            model.gate.open()
            await finish(old)
            await finish(young)
    values = exported(metrics.registry)
    assert values["mcp_llama_preemptions_total"] == 1
    assert values["llamacpp:tokens_predicted_total"] == 2 * MOST
    assert values["llamacpp:prompt_tokens_total"] == len(OLD) + len(YOUNG)
    assert values['mcp_llama_requests_finished_total{finish_reason="length"}'] == 2
    assert values["mcp_llama_ttft_seconds_count"] == values["mcp_llama_queue_seconds_count"] == 2


async def test_a_request_that_needs_the_whole_pool_alone_gets_it(start: StartEngine) -> None:
    model = pool_model()
    engine = start(model)
    model.gate.open()
    await run(engine, request("something cached", 30))
    prompt = "x" * 30
    assert (await run(engine, request(prompt, POOL - 30))).text == by_hand(prompt, POOL - 30)
    prompt = "y" * (POOL - 1)
    assert (await run(engine, request(prompt, 1))).text == by_hand(prompt, 1)


async def test_requests_that_need_the_whole_pool_come_one_after_the_other(start: StartEngine) -> None:
    model = pool_model()
    engine = start(model)
    prompts = ["a" * 60, "b" * 60, "c" * 60]
    async with AsyncExitStack() as entered:
        running = [await entered.enter_async_context(engine.generate(request(each, 52))) for each in prompts]
        model.gate.open()
        assert [(await finish(each)).text for each in running] == [by_hand(each, 52) for each in prompts]
    assert all(len(set(rows.slots)) == 1 for rows in model.batches)


async def test_followers_share_the_cells_of_their_common_prompt(start: StartEngine) -> None:
    model, metrics = FakeModel(n_ctx=160, n_slots=3, n_cells=160), EngineMetrics()
    model.gate.shut()
    engine = start(model, None, metrics)
    prompts = [HEAD + name for name in ("one", "two", "end")]
    async with AsyncExitStack() as entered:
        running = [await entered.enter_async_context(engine.generate(request(each, 12))) for each in prompts]
        await model.gate.held()
        model.gate.open()
        results = [await finish(each) for each in running]
    assert [result.text for result in results] == [by_hand(each, 12) for each in prompts]
    assert [result.usage.cached_tokens for result in results] == [0, LONG, LONG]
    assert max(len(set(rows.slots)) for rows in model.batches) == 3
    assert exported(metrics.registry)["mcp_llama_preemptions_total"] == 0


async def test_a_paused_request_can_be_preempted_and_goes_on_when_it_is_read(start: StartEngine) -> None:
    model = pool_model()
    engine = start(model, EngineLimits(unread_limit=40))
    async with engine.generate(asked(OLD)) as old:
        await model.gate.held()
        async with engine.generate(asked(YOUNG)) as young, anyio.create_task_group() as tasks:
            tasks.start_soon(read, old)
            await until_preempted(model, young)
            assert young.sequence.paused_since is not None
            model.gate.open()
            while old.sequence.completion_tokens < MOST:
                await anyio.lowlevel.checkpoint()
            assert (young.sequence.slot, young.sequence.completion_tokens) == (None, 40)
            # A newcomer does not wait for a reader who is away.
            assert (await run(engine, request("zzz", 9))).text == by_hand("zzz", 9)
            assert young.sequence.slot is None
            assert (await finish(young)).text == by_hand(YOUNG, MOST)
