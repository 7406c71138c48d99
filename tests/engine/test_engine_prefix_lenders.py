"""A request that waits for another one's prompt goes on whatever becomes of that one."""

from contextlib import AsyncExitStack

import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.model import DecodeError
from mcp_llama.errors import EngineError
from tests.engine.clock import Clock
from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, finish, request, run
from tests.engine.shared_prompts import CHUNK, HEAD, LONG, held_model
from tests.fake_model import FakeModel


async def test_a_lender_that_leaves_in_prefill_leaves_its_part_to_the_next(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    lender = engine.generate(request(HEAD + "one"))
    async with AsyncExitStack() as entered:
        await lender.__aenter__()
        followers = [engine.generate(request(HEAD + name)) for name in ("two", "end")]
        for follower in followers:
            await entered.enter_async_context(follower)
        model.gate.step()
        await model.gate.held()
        await lender.__aexit__(None, None, None)
        await model.gate.held()
        assert model.batches[-1].positions == list(range(CHUNK, 2 * CHUNK))
        model.gate.open()
        results = [await finish(follower) for follower in followers]
    assert [r.text for r in results] == [by_hand(HEAD + "two", 8), by_hand(HEAD + "end", 8)]
    assert [r.usage.cached_tokens for r in results] == [CHUNK, LONG]


@pytest.mark.parametrize("can_cut", [True, False])
async def test_a_lender_that_fails_in_prefill_lets_the_next_go_on(start: StartEngine, can_cut: bool) -> None:
    model = held_model(can_cut=can_cut)
    model.fault = lambda rows: DecodeError("no luck") if ord("\t") in rows.tokens else None
    engine = start(model)
    async with engine.generate(request(HEAD + "\t")) as lender, engine.generate(request(HEAD + "two")) as follower:
        model.gate.open()
        with pytest.raises(EngineError, match="no luck"):
            await finish(lender)
        assert (await finish(follower)).text == by_hand(HEAD + "two", 8)
    # What cannot be cut is copied as it is after the first chunk, or not at all.
    assert model.copies == ([] if can_cut else [(0, 1)])


async def test_a_lender_whose_time_runs_out_in_prefill_lets_the_next_go_on(start: StartEngine, clock: Clock) -> None:
    model = held_model()
    engine = start(model)
    late = engine.generate(request(HEAD + "one", deadline=clock.now + 10))
    async with late, engine.generate(request(HEAD + "two")) as follower:
        model.gate.step()
        await model.gate.held()
        clock.now += 10
        model.gate.open()
        assert (await finish(late)).finish_reason == "time"
        assert (await finish(follower)).text == by_hand(HEAD + "two", 8)


async def test_a_lender_that_ends_with_its_prefill_gives_its_slot_away_instead(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request(HEAD + "one", 1)) as lender, engine.generate(request(HEAD + "two")) as follower:
        model.gate.open()
        assert (await finish(lender)).text == by_hand(HEAD + "one", 1)
        result = await finish(follower)
    assert (result.text, result.usage.cached_tokens) == (by_hand(HEAD + "two", 8), LONG)
    assert model.copies == []
    assert {slot for rows in model.batches for slot in rows.slots} == {0}


async def test_a_lender_that_is_paused_is_not_waited_for(start: StartEngine) -> None:
    model = FakeModel(n_slots=2)
    engine = start(model, EngineLimits(unread_limit=1))
    said = by_hand(HEAD, 1)
    async with engine.generate(request(HEAD, 50)) as unread:
        await run(engine, request("something else", 30))
        assert unread.sequence.paused_since is not None
        result = await run(engine, request(HEAD + said + "two"))
        assert (result.text, result.usage.cached_tokens) == (by_hand(HEAD + said + "two", 8), LONG)
        assert unread.sequence.paused_since is not None
        assert (await finish(unread)).text == by_hand(HEAD, 50)


async def test_what_a_lender_samples_is_not_waited_for(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    said = by_hand(HEAD, 60)
    async with engine.generate(request(HEAD, 60)) as lender, engine.generate(request(HEAD + said[:40])) as follower:
        model.gate.step(3)
        await model.gate.held()
        assert model.copies == [(0, 1)]
        model.gate.open()
        assert (await finish(lender)).text == said
        assert (await finish(follower)).text == by_hand(HEAD + said[:40], 8)


@pytest.mark.parametrize("can_cut", [True, False])
async def test_a_decode_that_fails_while_others_wait_changes_nothing(start: StartEngine, can_cut: bool) -> None:
    model = held_model(can_cut=can_cut)
    failures = iter([None, DecodeError("no luck"), None, DecodeError("no luck")])
    model.fault = lambda rows: next(failures, None) if len(set(rows.slots)) > 1 else None
    engine = start(model)
    async with engine.generate(request("aaa", 30)) as neighbour:
        await model.gate.held()
        lender, follower = engine.generate(request(HEAD + "one")), engine.generate(request(HEAD + "two"))
        async with lender, follower:
            model.gate.open()
            texts = [(await finish(generation)).text for generation in (neighbour, lender, follower)]
    assert texts == [by_hand("aaa", 30), by_hand(HEAD + "one", 8), by_hand(HEAD + "two", 8)]
    assert next(failures, "all used") == "all used"


@pytest.mark.parametrize("can_cut", [True, False])
async def test_a_decode_that_is_aborted_while_others_wait_changes_nothing(start: StartEngine, can_cut: bool) -> None:
    model = held_model(can_cut=can_cut)
    engine = start(model)
    lender, follower = engine.generate(request(HEAD + "one")), engine.generate(request(HEAD + "two"))
    async with engine.generate(request("aaa", 30)) as neighbour, lender, follower:
        for _ in range(2):
            await model.gate.held()
            model.gate.step()
        await model.gate.held()
        model.abort()
        await model.gate.held()
        model.gate.open()
        texts = [(await finish(generation)).text for generation in (neighbour, lender, follower)]
    assert texts == [by_hand("aaa", 30), by_hand(HEAD + "one", 8), by_hand(HEAD + "two", 8)]


async def test_one_that_waits_can_leave(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request(HEAD + "one")) as lender:
        async with engine.generate(request(HEAD + "two")):
            await model.gate.held()
        async with engine.generate(request("zzz")) as stranger:
            model.gate.open()
            assert (await finish(stranger)).text == by_hand("zzz", 8)
            assert (await finish(lender)).text == by_hand(HEAD + "one", 8)
    assert model.copies == []


async def test_stopping_ends_one_that_waits(start: StartEngine) -> None:
    model = held_model()
    engine = start(model)
    async with engine.generate(request(HEAD + "one")) as lender, engine.generate(request(HEAD + "two")) as follower:
        await model.gate.held()
        engine.stop()
        assert [(await finish(each)).finish_reason for each in (lender, follower)] == ["abort", "abort"]
