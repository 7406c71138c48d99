import asyncio
import threading
from collections.abc import Callable
from itertools import pairwise

import anyio
import pytest

from mcp_llama.engine.types import TokenDelta
from tests.engine.clock import Clock
from tests.engine.conftest import StartEngine
from tests.engine.sequences import admission, by_hand, finish, request, run
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S


async def stepped(start: StartEngine, model: FakeModel, prompt: str, max_tokens: int) -> list[TokenDelta]:
    """The deltas of a request whose reader takes each one before the next is made."""
    model.gate.shut()
    engine = start(model)
    deltas: list[TokenDelta] = []
    with anyio.fail_after(PATIENCE_S):
        async with engine.generate(request(prompt, max_tokens)) as generation:
            await admission(generation)
            while not deltas or deltas[-1].finish is None:
                await model.gate.held()
                model.gate.step()
                delta = await generation.next()
                assert delta is not None
                deltas.append(delta)
    return deltas


async def test_every_token_is_delivered_when_it_is_sampled(start: StartEngine) -> None:
    deltas = await stepped(start, FakeModel(), "aaa", 6)
    assert [delta.text for delta in deltas] == list(by_hand("aaa", 6))
    assert [delta.completion_tokens for delta in deltas] == [1, 2, 3, 4, 5, 6]
    assert [delta.finish is not None for delta in deltas] == [False] * 5 + [True]


async def test_a_request_is_told_that_it_has_its_slot_before_its_first_decode(start: StartEngine) -> None:
    model = FakeModel(n_batch=4)
    engine = start(model)
    await run(engine, request("0123456789"))
    model.gate.shut()
    arrived = request("01234567xx")
    async with engine.generate(arrived) as generation:
        delta = await admission(generation)
        assert (delta.computed_tokens, delta.cached_tokens, delta.first_token) == (8, 8, None)
        assert delta.admitted is not None
        assert arrived.arrival <= delta.admitted
        model.gate.open()
        result = await finish(generation)
    assert result.timings.queue_s == delta.admitted - arrived.arrival


async def test_prefill_is_reported_chunk_by_chunk_without_text(start: StartEngine) -> None:
    deltas = await stepped(start, FakeModel(n_batch=4), "0123456789", 2)
    assert [(delta.text, delta.computed_tokens, delta.completion_tokens) for delta in deltas[:2]] == [
        ("", 4, 0),
        ("", 8, 0),
    ]
    assert [delta.computed_tokens for delta in deltas[2:]] == [11, 12]


async def test_computed_tokens_increase_with_every_delta(start: StartEngine) -> None:
    deltas = await stepped(start, FakeModel(n_batch=3), "0123456789", 6)
    assert all(before.computed_tokens < after.computed_tokens for before, after in pairwise(deltas))
    assert deltas[-1].computed_tokens == 16


async def test_the_texts_of_all_deltas_are_the_text_of_the_result(start: StartEngine) -> None:
    model = FakeModel()
    model.script(
        "aaa", ["Grüße ".encode()[:3], "Grüße ".encode()[3:], b"\xf0\x9f", b"\x99", b"\x82", "<st", "ay>", "x" * 2048]
    )
    engine = start(model)
    async with engine.generate(request("aaa", 20, stop=["<stop>"])) as generation:
        with anyio.fail_after(PATIENCE_S):
            text = "".join([delta.text async for delta in generation])
        assert text == (await generation.result()).text == "Grüße 🙂<stay>" + "x" * 2048


async def test_a_step_makes_one_call_to_the_event_loop(start: StartEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    model = FakeModel(n_slots=5)
    model.gate.shut()
    engine = start(model)
    loop = asyncio.get_running_loop()
    call_soon_threadsafe = loop.call_soon_threadsafe
    calls: list[int] = []

    def count(callback: Callable[..., object], *args: object) -> object:
        if threading.current_thread().name == "engine":
            calls.append(len(model.batches))
        return call_soon_threadsafe(callback, *args)

    monkeypatch.setattr(loop, "call_soon_threadsafe", count)
    first, a, b, c, d = (engine.generate(request(prompt, 10)) for prompt in ("zzz", "aaa", "bbb", "ccc", "ddd"))
    async with first:
        await model.gate.held()
        async with a, b, c, d:
            model.gate.open()
            for generation in (first, a, b, c, d):
                await finish(generation)
    # Admissions are told before the decode: of the first request alone, then of the other four.
    assert calls == [0, 1, *range(1, len(model.batches) + 1)]
    assert len(model.batches) < 20


async def test_an_end_is_told_before_the_next_decode(start: StartEngine, clock: Clock) -> None:
    model = FakeModel()
    model.gate.shut()
    engine = start(model)
    late, left = engine.generate(request("aaa", 50, deadline=clock.now + 10)), engine.generate(request("bbb", 50))
    async with late, left, engine.generate(request("ccc", 50)):
        model.gate.step()
        await model.gate.held()
        clock.now += 10
        left.stop()
        model.gate.step()
        await model.gate.held()
        assert [(await finish(late)).finish_reason, (await finish(left)).finish_reason] == ["time", "abort"]


def test_a_reader_whose_event_loop_was_closed_does_not_hurt_the_engine(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.gate.shut()
    engine = start(model)

    async def enter() -> None:
        await engine.generate(request("aaa", max_tokens=400)).__aenter__()
        await model.gate.held()

    asyncio.run(enter())
    model.gate.open()
    assert asyncio.run(run(engine, request("bbb"))).text == by_hand("bbb", 8)
    assert len(model.batches) == 9


def test_readers_on_two_event_loops_share_an_engine(start: StartEngine) -> None:
    engine = start(FakeModel())
    texts: dict[str, str] = {}

    def read(prompt: str) -> None:
        texts[prompt] = asyncio.run(run(engine, request(prompt, 50))).text

    threads = [threading.Thread(target=read, args=(prompt,)) for prompt in ("aaa", "bbb", "ccc")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert texts == {prompt: by_hand(prompt, 50) for prompt in ("aaa", "bbb", "ccc")}
