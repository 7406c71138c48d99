"""Long prompts beside running streams, and short prompts beside long ones."""

from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.model import Rows
from tests.engine.clock import Clock
from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, finish, request
from tests.fake_model import FakeModel

LONG = "x" * 400
FIRST, LEAST = 32, 16
TARGET = 1 / 8


def timed_model(clock: Clock, cost: Callable[[int], float], *, n_batch: int = 256) -> FakeModel:
    """A model whose decodes take time by the number of their rows, and wait for the test."""
    model = FakeModel(n_batch=n_batch)

    def take_time(rows: Rows) -> None:
        clock.now += cost(len(rows))

    model.fault = take_time
    model.gate.shut()
    return model


@pytest.mark.parametrize(("row_s", "rows"), [(1 / 512, 64), (1 / 1024, 128), (1 / 8, LEAST)])
async def test_a_long_prompt_is_computed_in_steps_of_the_target_time(
    start: StartEngine, clock: Clock, row_s: float, rows: int
) -> None:
    model = timed_model(clock, lambda rows: rows * row_s)
    engine = start(model, EngineLimits(step_target=TARGET, stall_timeout=1e6))
    async with engine.generate(request("a", 60)) as stream:
        await model.gate.held()
        async with engine.generate(request(LONG)) as long:
            model.gate.open()
            texts = [(await finish(each)).text for each in (stream, long)]
    assert texts == [by_hand("a", 60), by_hand(LONG, 8)]
    chunks = [rows.slots for rows in model.batches if len(rows) > 2]
    assert [len(slots) for slots in chunks[:-1]] == [FIRST + 1] + [rows + 1] * (len(chunks) - 2)
    assert all(slots.count(0) == 1 for slots in chunks)


async def test_where_more_prompts_wait_than_streams_run_steps_are_longer(start: StartEngine, clock: Clock) -> None:
    model = timed_model(clock, lambda rows: rows / 1024)
    engine = start(model, EngineLimits(step_target=TARGET, stall_timeout=1e6))
    async with engine.generate(request("a", 60)) as stream:
        await model.gate.held()
        async with engine.generate(request(LONG)) as one, engine.generate(request("y" * 400)) as other:
            model.gate.open()
            texts = [(await finish(each)).text for each in (stream, one, other)]
    assert texts == [by_hand("a", 60), by_hand(LONG, 8), by_hand("y" * 400, 8)]
    assert [len(rows) for rows in model.batches if len(rows) > 3][:3] == [FIRST + 1, 256, 256]


async def test_a_prompt_alone_takes_whole_batches(start: StartEngine, clock: Clock) -> None:
    model = timed_model(clock, lambda rows: rows * 0.1)
    engine = start(model, EngineLimits(stall_timeout=1e6))
    async with engine.generate(request(LONG)) as long:
        model.gate.open()
        await finish(long)
    assert [len(rows) for rows in model.batches[:2]] == [256, 144]


async def test_a_step_that_was_slow_by_chance_does_not_slow_a_prompt_for_ever(start: StartEngine, clock: Clock) -> None:
    slow = iter([0.0, 0.0, 60.0])
    model = timed_model(clock, lambda rows: rows / 1024 + next(slow, 0.0))
    engine = start(model, EngineLimits(step_target=TARGET, stall_timeout=1e6))
    async with engine.generate(request("a", 60)) as stream:
        await model.gate.held()
        async with engine.generate(request(LONG)) as long:
            model.gate.open()
            for each in (stream, long):
                await finish(each)
    chunks = [len(rows) - 1 for rows in model.batches if len(rows) > 2]
    assert chunks[:3] == [FIRST, 128, LEAST]
    assert chunks[3:-1] == sorted(chunks[3:-1])
    assert max(chunks[3:]) > 2 * LEAST


async def test_a_short_prompt_gets_its_first_token_before_a_long_one_that_came_earlier(start: StartEngine) -> None:
    model = FakeModel(n_batch=40)
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request(LONG)) as long:
        await model.gate.held()
        async with engine.generate(request("short")) as short:
            model.gate.step(2)
            await model.gate.held()
            assert short.sequence.completion_tokens == 1
            assert long.sequence.num_computed_tokens == 40 + 35
            model.gate.open()
            assert [(await finish(each)).text for each in (short, long)] == [by_hand("short", 8), by_hand(LONG, 8)]


async def test_a_long_prompt_goes_on_while_short_ones_keep_coming(start: StartEngine) -> None:
    model = FakeModel(n_batch=40)
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request(LONG, 1)) as long:
        await model.gate.held()
        for number in range(30):
            async with engine.generate(request(f"{number:39}", 1)):
                model.gate.step()
                await model.gate.held()
            if long.sequence.first_token is not None:
                break
        assert long.sequence.first_token is not None
        model.gate.open()
        assert (await finish(long)).text == by_hand(LONG, 1)


async def test_steps_of_those_who_caught_up_say_nothing_about_prompts(start: StartEngine, clock: Clock) -> None:
    model = FakeModel(n_slots=LEAST + 1, n_batch=256)
    model.gate.shut()
    engine = start(model, EngineLimits(step_target=TARGET, stall_timeout=1e6))
    async with AsyncExitStack() as entered:
        streams = [
            await entered.enter_async_context(engine.generate(request(chr(65 + number), 30))) for number in range(LEAST)
        ]
        model.gate.step()
        await model.gate.held()
        # A slow step without a prompt, and a clock that stands still in those before.
        for _ in range(3):
            clock.now += 60
            model.gate.step()
            await model.gate.held()
        async with engine.generate(request(LONG)) as long:
            model.gate.open()
            assert [(await finish(each)).finish_reason for each in (*streams, long)] == ["length"] * (LEAST + 1)
    chunks = [len(rows) - LEAST for rows in model.batches if len(rows) > LEAST + 1]
    assert chunks[0] == FIRST


async def test_those_whose_readers_are_away_take_no_part_of_a_step(start: StartEngine, clock: Clock) -> None:
    model = timed_model(clock, lambda rows: rows / 1024)
    engine = start(model, EngineLimits(step_target=TARGET, stall_timeout=1e6, unread_limit=2))
    async with engine.generate(request("a", 60)) as unread:
        await model.gate.held()
        async with engine.generate(request("b", 60, streamed=False)) as stream:
            model.gate.step(4)
            await model.gate.held()
            assert unread.sequence.paused_since is not None
            async with engine.generate(request(LONG, streamed=False)) as long:
                model.gate.open()
                assert (await finish(long)).text == by_hand(LONG, 8)
                assert (await finish(stream)).text == by_hand("b", 60)
    assert [len(rows) for rows in model.batches if len(rows) > 2][:3] == [FIRST + 1, 129, 129]
