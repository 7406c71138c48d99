"""A request with a long prompt that another one is computing waits for it, then copies it."""

from contextlib import AsyncExitStack

import pytest

from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, finish, request, run_all
from tests.engine.shared_prompts import HEAD, LONG, held_model
from tests.fake_model import FakeModel


def computed_rows(model: FakeModel) -> int:
    return sum(map(len, model.batches))


async def test_a_prompt_that_is_being_computed_is_waited_for_and_copied_once(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request(HEAD + "one")) as first, engine.generate(request(HEAD + "two")) as second:
        for _ in range(3):
            await model.gate.held()
            assert set(model.batches[-1].slots) == {0}
            assert model.copies == []
            model.gate.step()
        await model.gate.held()
        assert model.copies == [(0, 1)]
        assert model.batches[-1].slots == [0, 1, 1, 1]
        model.gate.open()
        results = [await finish(first), await finish(second)]
    assert [r.text for r in results] == [by_hand(HEAD + "one", 8), by_hand(HEAD + "two", 8)]
    assert [r.usage.cached_tokens for r in results] == [0, LONG]
    assert computed_rows(model) == LONG + 2 * (3 + 7)


async def test_the_same_prompt_twice_computes_its_last_token_twice(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request(HEAD)) as first, engine.generate(request(HEAD)) as second:
        model.gate.open()
        results = [await finish(first), await finish(second)]
    assert [r.text for r in results] == [by_hand(HEAD, 8)] * 2
    assert [r.usage.cached_tokens for r in results] == [0, LONG - 1]
    assert computed_rows(model) == LONG + 1 + 2 * 7


@pytest.mark.parametrize("can_cut", [True, False])
async def test_any_number_may_wait_for_one(start: StartEngine, can_cut: bool) -> None:
    model = held_model(can_cut=can_cut)
    engine = start(model)
    prompts = [HEAD + letter * 3 for letter in "abcdefg"]
    async with AsyncExitStack() as entered:
        running = [await entered.enter_async_context(engine.generate(request(prompt))) for prompt in prompts]
        await model.gate.held()
        model.gate.open()
        results = [await finish(generation) for generation in running]
    assert [r.text for r in results] == [by_hand(prompt, 8) for prompt in prompts]
    if can_cut:
        assert model.copies == [(0, 1), (0, 2), (0, 3)]
        assert [r.usage.cached_tokens for r in results] == [0] + [LONG] * 6
        assert computed_rows(model) == LONG + 7 * (3 + 7)


async def test_a_short_common_start_is_computed_by_each(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request("a short one")) as first, engine.generate(request("a short two")) as second:
        await model.gate.held()
        model.gate.step()
        await model.gate.held()
        assert set(model.batches[-1].slots) == {0, 1}
        model.gate.open()
        assert [(await finish(first)).text, (await finish(second)).text] == [
            by_hand("a short one", 8),
            by_hand("a short two", 8),
        ]
    assert model.copies == []


async def test_a_free_slot_with_the_same_start_is_used_instead(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request(HEAD + "one")) as first, engine.generate(request(HEAD + "two")) as second:
        model.gate.open()
        assert [(await finish(each)).finish_reason for each in (first, second)] == ["length", "length"]
    model.copies.clear()
    results = await run_all(engine, request(HEAD + "new"), request(HEAD + "add"))
    assert [r.usage.cached_tokens for r in results] == [LONG, LONG]
    assert model.copies == []


async def test_the_lender_goes_on_beside_the_one_that_copied(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request(HEAD + "one", 60)) as lender:
        model.gate.step(20)
        await model.gate.held()
        async with engine.generate(request(HEAD + "two", 60)) as late:
            model.gate.open()
            results = [await finish(lender), await finish(late)]
    assert model.copies == [(0, 1)]
    assert [r.text for r in results] == [by_hand(HEAD + "one", 60), by_hand(HEAD + "two", 60)]
    assert results[1].usage.cached_tokens == LONG


async def test_those_behind_the_one_that_waits_come_in_their_turn(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    prompts = [HEAD + "one", HEAD + "two", "a stranger", HEAD + "two and more", "another stranger", HEAD[:50]]
    async with AsyncExitStack() as entered:
        running = [await entered.enter_async_context(engine.generate(request(prompt, 20))) for prompt in prompts]
        await model.gate.held()
        model.gate.open()
        results = [await finish(generation) for generation in running]
    assert [r.text for r in results] == [by_hand(prompt, 20) for prompt in prompts]
    waits = [r.timings.queue_s for r in results]
    admitted = [generation.request.arrival + wait for generation, wait in zip(running, waits, strict=True)]
    order = sorted(range(len(prompts)), key=lambda index: admitted[index])
    strangers, agents = [index for index in order if index in (2, 4)], [index for index in order if index in (0, 1, 3)]
    assert (order[0], strangers, agents) == (0, [2, 4], [0, 1, 3])
    assert order.index(2) < order.index(1)


async def test_those_who_wait_keep_slots_that_those_behind_them_do_not_get(start: StartEngine) -> None:
    model = held_model(n_slots=3)
    engine = start(model)
    prompts = [HEAD + "one", HEAD + "two", "a stranger", "another"]
    async with AsyncExitStack() as entered:
        running = [await entered.enter_async_context(engine.generate(request(prompt, 20))) for prompt in prompts]
        await model.gate.held()
        model.gate.step()
        await model.gate.held()
        assert [generation.sequence.slot is not None for generation in running] == [True, False, True, False]
        model.gate.open()
        results = [await finish(generation) for generation in running]
    assert [r.text for r in results] == [by_hand(prompt, 20) for prompt in prompts]
    assert results[1].usage.cached_tokens == LONG
