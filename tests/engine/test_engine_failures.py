import threading
from collections.abc import Callable

import pytest

from mcp_llama.engine.model import DecodeError, Rows
from mcp_llama.engine.queue import QueueBounds
from mcp_llama.errors import EngineError
from tests.engine.conftest import StartEngine
from tests.engine.sequences import admission, by_hand, finish, request, run
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S


def fails_on(letter: str, error: Callable[[], Exception]) -> Callable[[Rows], Exception | None]:
    """A fault in every decode of a row with this letter."""
    return lambda rows: error() if ord(letter) in rows.tokens else None


def no_luck() -> Exception:
    return DecodeError("no luck")


@pytest.mark.parametrize("can_cut", [True, False])
async def test_a_failing_decode_ends_only_the_request_at_fault(start: StartEngine, can_cut: bool) -> None:
    model = FakeModel(can_cut=can_cut)
    model.fault = fails_on("\t", no_luck)
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("aaa", 20)) as a, engine.generate(request("bbb", 20)) as b:
        await model.gate.held()
        async with engine.generate(request("\t\t\t")) as bad, engine.generate(request("ccc", 20)) as c:
            model.gate.open()
            with pytest.raises(EngineError, match=r"llama\.cpp could not compute this request: no luck"):
                await finish(bad)
            texts = [(await finish(each)).text for each in (a, b, c)]
    assert texts == [by_hand("aaa", 20), by_hand("bbb", 20), by_hand("ccc", 20)]


@pytest.mark.parametrize("can_cut", [True, False])
async def test_faults_in_later_chunks_of_two_prompts_are_found(start: StartEngine, can_cut: bool) -> None:
    model = FakeModel(n_batch=6, can_cut=can_cut)
    model.fault = fails_on("\t", no_luck)
    model.gate.shut()
    engine = start(model)
    a, *bad = (engine.generate(request(prompt, 60)) for prompt in ("aaa", "x" * 23 + "\t", "y" * 31 + "\t"))
    async with a, bad[0], bad[1]:
        model.gate.open()
        for generation in bad:
            with pytest.raises(EngineError, match="no luck"):
                await finish(generation)
        assert (await finish(a)).text == by_hand("aaa", 60)


async def test_the_slot_of_a_failed_request_serves_the_next(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.fault = fails_on("\t", no_luck)
    engine = start(model)
    for _ in range(3):
        with pytest.raises(EngineError):
            await run(engine, request("aaa\t"))
        assert ord("\t") not in model.slots[0]
        assert (await run(engine, request("aaa"))).text == by_hand("aaa", 8)


async def test_a_failure_in_a_later_chunk_keeps_the_earlier_ones_as_cache(start: StartEngine) -> None:
    model = FakeModel(n_batch=4)
    model.fault = fails_on("\t", no_luck)
    engine = start(model)
    with pytest.raises(EngineError):
        await run(engine, request("01234567\t"))
    result = await run(engine, request("0123456789"))
    assert (result.usage.cached_tokens, result.text) == (8, by_hand("0123456789", 8))


async def test_a_batch_that_fails_only_as_a_whole_ends_nobody(start: StartEngine) -> None:
    model = FakeModel()
    model.fault = lambda rows: no_luck() if len(set(rows.slots)) > 1 else None
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("aaa")) as a, engine.generate(request("bbb")) as b:
        model.gate.open()
        assert [(await finish(a)).text, (await finish(b)).text] == [by_hand("aaa", 8), by_hand("bbb", 8)]


async def test_a_model_that_fails_for_a_while_serves_again(start: StartEngine) -> None:
    model = FakeModel()
    model.fault = lambda _: no_luck()
    engine = start(model)
    async with engine.generate(request("aaa")) as a, engine.generate(request("bbb")) as b:
        for generation in (a, b):
            with pytest.raises(EngineError):
                await finish(generation)
    model.fault = None
    assert (await run(engine, request("aaa"))).text == by_hand("aaa", 8)


async def test_the_text_that_a_slow_reader_has_not_read_survives_a_failure(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", "12345\t")
    model.fault = fails_on("\t", no_luck)
    engine = start(model)
    async with engine.generate(request("aaa")) as a:
        # The neighbour's end comes after the failure, and all that came before it is in the mailbox by then.
        await run(engine, request("bbb", 20))
        delta = await a.next()
        assert delta is not None
        assert delta.text == "12345\t"
        with pytest.raises(EngineError):
            await a.next()


async def test_the_text_before_a_failure_is_delivered(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", "12345\t")
    model.fault = fails_on("\t", no_luck)
    model.gate.shut()
    engine = start(model)
    text = ""
    async with engine.generate(request("aaa")) as a:
        await admission(a)
        for _ in range(6):
            await model.gate.held()
            model.gate.step()
            delta = await a.next()
            assert delta is not None
            text += delta.text
        model.gate.open()
        with pytest.raises(EngineError):
            await finish(a)
    assert text == "12345\t"


async def test_a_defect_in_the_engine_ends_every_call(start: StartEngine) -> None:
    model = FakeModel(n_slots=2)
    model.gate.shut()
    engine = start(model)
    a, b, queued, unseen = (engine.generate(request(prompt)) for prompt in ("aaa", "bbb", "ccc", "ddd"))
    async with a, b, queued:
        model.gate.step()
        await model.gate.held()
        await unseen.__aenter__()
        model.fault = lambda _: ValueError("a defect")
        model.gate.open()
        for generation in (a, b, queued, unseen):
            with pytest.raises(EngineError, match="The engine failed") as failed:
                await finish(generation)
            assert "a defect" not in str(failed.value)


async def test_a_broken_engine_refuses_new_calls(start: StartEngine) -> None:
    model = FakeModel()
    model.fault = lambda _: ValueError("a defect")
    engine = start(model)
    depths: list[int] = []
    for _ in range(4):
        with pytest.raises(EngineError, match="The engine failed") as failed:
            await run(engine, request("aaa"))
        depths.append(len(failed.traceback))
    # An exception that is raised again keeps every frame that it has passed, and all they refer to.
    assert len(set(depths[1:])) == 1


async def test_a_request_that_comes_while_the_engine_breaks_is_refused(
    start: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = FakeModel()
    model.fault = lambda _: ValueError("a defect")
    model.gate.shut()
    before = set(threading.enumerate())
    engine = start(model)
    (thread,) = set(threading.enumerate()) - before
    async with engine.generate(request("aaa")):
        await model.gate.held()
        enter = QueueBounds.enter

        def enter_and_break(bounds: QueueBounds, tokens: int) -> None:
            enter(bounds, tokens)
            model.gate.open()
            thread.join(PATIENCE_S)

        monkeypatch.setattr(QueueBounds, "enter", enter_and_break)
        with pytest.raises(EngineError, match="The engine failed"):
            await run(engine, request("bbb"))
