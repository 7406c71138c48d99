import pytest

from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, finish, request, run, run_all
from tests.fake_model import FakeModel


async def test_two_requests_share_a_batch(start: StartEngine) -> None:
    model = FakeModel()
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("aaa")) as a:
        await model.gate.held()
        async with engine.generate(request("bbb")) as b:
            model.gate.step(2)
            await model.gate.held()
            assert model.batches[2].slots == [0, 1]
            assert model.batches[2].outputs == [True, True]
            model.gate.open()
            assert [(await finish(a)).text, (await finish(b)).text] == [by_hand("aaa", 8), by_hand("bbb", 8)]


async def test_a_new_prompt_comes_after_the_rows_of_those_that_decode(start: StartEngine) -> None:
    model = FakeModel(n_batch=6)
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("aaa")) as a:
        await model.gate.held()
        async with engine.generate(request("bbbbbbb")):
            model.gate.step()
            await model.gate.held()
            assert model.batches[1].slots == [0, 1, 1, 1, 1, 1]
            assert model.batches[1].outputs == [True, False, False, False, False, False]
            model.gate.step()
            await model.gate.held()
            assert model.batches[2].slots == [0, 1, 1]
            assert model.batches[2].outputs == [True, False, True]
            model.gate.open()
            await finish(a)


async def test_a_request_decodes_while_a_long_prompt_is_in_prefill(start: StartEngine) -> None:
    model = FakeModel(n_batch=10)
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("short", max_tokens=5)) as short:
        await model.gate.held()
        async with engine.generate(request("long " * 20)) as long:
            model.gate.step(5)
            result = await finish(short)
            assert result.text == by_hand("short", 5)
            assert [rows.slots.count(0) for rows in model.batches[1:5]] == [1, 1, 1, 1]
            model.gate.open()
            assert (await finish(long)).text == by_hand("long " * 20, 8)


@pytest.mark.parametrize("n_batch", [4, 7, 64])
async def test_the_output_is_the_same_alone_and_with_neighbours(start: StartEngine, n_batch: int) -> None:
    prompts = ["a", "ab", "abc", "the same start, then one", "the same start, then two", "x" * 30, "ab"]
    engine = start(FakeModel(n_batch=n_batch))
    results = await run_all(engine, *(request(prompt, 5 + 3 * i) for i, prompt in enumerate(prompts)))
    assert [r.text for r in results] == [by_hand(prompt, 5 + 3 * i) for i, prompt in enumerate(prompts)]


async def test_more_requests_than_slots_are_served_in_turn(start: StartEngine) -> None:
    model = FakeModel(n_slots=2)
    engine = start(model)
    results = await run_all(engine, *(request(f"prompt {i}") for i in range(9)))
    assert [r.text for r in results] == [by_hand(f"prompt {i}", 8) for i in range(9)]
    assert max(len(set(rows.slots)) for rows in model.batches) == 2


async def test_a_finished_request_makes_room_within_one_step(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("aa", max_tokens=2)) as a, engine.generate(request("bbb")):
        model.gate.step(2)
        await finish(a)
        await model.gate.held()
        assert bytes(model.batches[2].tokens) == b"bbb"


async def test_an_idle_engine_computes_nothing(start: StartEngine) -> None:
    model = FakeModel()
    engine = start(model)
    await run(engine, request("a", max_tokens=3))
    decodes = len(model.batches)
    for _ in range(10):
        engine.wake()
    assert (await run(engine, request("b", max_tokens=3))).text == by_hand("b", 3)
    assert len(model.batches) == decodes + 3
