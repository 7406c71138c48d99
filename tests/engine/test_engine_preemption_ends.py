"""A request that was preempted ends in every way in which others end."""

import pytest

from mcp_llama.engine.limits import EngineLimits
from tests.engine.clock import Clock
from tests.engine.conftest import StartEngine
from tests.engine.pools import MOST, OLD, YOUNG, asked, delivered, pool_model, until_preempted
from tests.engine.sequences import by_hand, finish, request, run


async def test_leaving_takes_it_out_at_once(start: StartEngine) -> None:
    model = pool_model()
    engine = start(model)
    async with engine.generate(asked(OLD)) as old:
        await model.gate.held()
        async with engine.generate(asked(YOUNG)) as young:
            await until_preempted(model, young)
        decodes = len(model.batches)
        model.gate.open()
        assert (await finish(old)).text == by_hand(OLD, MOST)
        result = await finish(young)
    assert result.finish_reason == "abort"
    assert by_hand(YOUNG, MOST).startswith(result.text)
    assert all(len(rows) == 1 for rows in model.batches[decodes:])
    assert (await run(engine, request("zzz"))).text == by_hand("zzz", 8)


async def test_its_deadline_ends_it_while_it_waits(start: StartEngine, clock: Clock) -> None:
    model = pool_model()
    engine = start(model)
    async with engine.generate(asked(OLD)) as old:
        await model.gate.held()
        async with engine.generate(asked(YOUNG, deadline=clock.now + 10)) as young:
            await until_preempted(model, young)
            said = young.sequence.completion_tokens
            clock.now += 10
            model.gate.step()
            result = await finish(young)
            assert (result.finish_reason, result.text) == ("time", by_hand(YOUNG, said))
            model.gate.open()
            assert (await finish(old)).text == by_hand(OLD, MOST)


async def test_it_ends_if_nobody_reads_it_for_long(start: StartEngine, clock: Clock) -> None:
    model = pool_model()
    engine = start(model, EngineLimits(stall_timeout=10.0))
    async with engine.generate(asked(OLD)) as old:
        await model.gate.held()
        async with engine.generate(asked(YOUNG)) as young:
            await until_preempted(model, young)
            said = young.sequence.completion_tokens
            await delivered()
            await old.next()
            clock.now += 10
            model.gate.open()
            assert (await finish(old)).text == by_hand(OLD, MOST)
            result = await finish(young)
    assert (result.finish_reason, result.text) == ("abort", by_hand(YOUNG, said))


@pytest.mark.parametrize("is_closed", [True, False])
async def test_stopping_the_engine_ends_it_with_what_it_has(start: StartEngine, is_closed: bool) -> None:
    model = pool_model()
    engine = start(model)
    async with engine.generate(asked(OLD)) as old:
        await model.gate.held()
        async with engine.generate(asked(YOUNG)) as young:
            await until_preempted(model, young)
            said = young.sequence.completion_tokens
            if is_closed:
                engine.close()
            else:
                engine.stop()
            assert [(await finish(each)).finish_reason for each in (old, young)] == ["abort", "abort"]
            assert (await finish(young)).text == by_hand(YOUNG, said)


async def test_a_fault_that_was_overcome_before_does_not_single_it_out_when_it_comes_back(start: StartEngine) -> None:
    model = pool_model()
    engine = start(model)
    async with engine.generate(asked(OLD)) as old:
        await model.gate.held()
        async with engine.generate(asked(YOUNG)) as young:
            young.sequence.suspect_tokens = len(YOUNG)
            await until_preempted(model, young)
            assert not young.sequence.is_suspect
            model.gate.open()
            await finish(old)
            assert (await finish(young)).text == by_hand(YOUNG, MOST)
