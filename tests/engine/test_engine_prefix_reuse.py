import pytest

from mcp_llama.engine.prefix_cache import common_prefix
from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, request, run, run_all
from tests.fake_model import FakeModel

SYSTEM = "You are one of many agents. "


async def test_a_prompt_that_was_computed_is_not_computed_again(start: StartEngine) -> None:
    model = FakeModel()
    engine = start(model)
    first = await run(engine, request("a prompt"))
    decodes = len(model.batches)
    second = await run(engine, request("a prompt"))
    assert (first.usage.cached_tokens, second.usage.cached_tokens) == (0, len("a prompt") - 1)
    assert second.text == first.text == by_hand("a prompt", 8)
    assert bytes(model.batches[decodes].tokens) == b"t"


async def test_the_next_turn_of_a_conversation_continues_where_the_last_ended(start: StartEngine) -> None:
    engine = start(FakeModel())
    answer = (await run(engine, request("question?"))).text
    conversation = f"question?{answer}again?"
    result = await run(engine, request(conversation))
    assert result.usage.cached_tokens == len("question?") + 8 - 1
    assert result.text == by_hand(conversation, 8)


async def test_a_shared_start_is_computed_once_a_slot(start: StartEngine) -> None:
    engine = start(FakeModel(n_slots=1))
    results = await run_all(engine, *(request(f"{SYSTEM}{name}") for name in "abc"))
    assert [r.usage.cached_tokens for r in results] == [0, len(SYSTEM), len(SYSTEM)]
    assert [r.text for r in results] == [by_hand(f"{SYSTEM}{name}", 8) for name in "abc"]


async def test_a_shorter_prompt_uses_the_start_of_a_longer_one(start: StartEngine) -> None:
    engine = start(FakeModel())
    await run(engine, request("abcdefgh"))
    result = await run(engine, request("abcd"))
    assert (result.usage.cached_tokens, result.text) == (3, by_hand("abcd", 8))


async def test_a_cancelled_prompt_leaves_what_was_computed_to_the_next(start: StartEngine) -> None:
    model = FakeModel(n_batch=4)
    model.gate.shut()
    engine = start(model)
    async with engine.generate(request("0123456789")):
        await model.gate.held()
        model.gate.step()
        await model.gate.held()
    model.gate.open()
    result = await run(engine, request("0123456789"))
    assert (result.usage.cached_tokens, result.text) == (8, by_hand("0123456789", 8))


@pytest.mark.parametrize("next_prompt", ["a prompt", "a pro", "a prompt and more", "another"])
async def test_a_model_that_can_not_be_cut_computes_all_again(start: StartEngine, next_prompt: str) -> None:
    model = FakeModel(can_cut=False)
    engine = start(model)
    await run(engine, request("a prompt"))
    decodes = len(model.batches)
    result = await run(engine, request(next_prompt))
    assert (result.usage.cached_tokens, result.text) == (0, by_hand(next_prompt, 8))
    assert bytes(model.batches[decodes].tokens) == next_prompt.encode()
    shared = common_prefix(b"a prompt", next_prompt.encode())
    assert result.usage.uncut_tokens == min(shared, len(next_prompt) - 1)


async def test_a_model_that_can_not_be_cut_still_continues_a_whole_slot(start: StartEngine) -> None:
    engine = start(FakeModel(can_cut=False))
    answer = (await run(engine, request("a prompt"))).text
    result = await run(engine, request("a prompt" + answer))
    assert (result.usage.cached_tokens, result.usage.uncut_tokens) == (len("a prompt") + 8 - 1, 0)
    assert result.text == by_hand("a prompt" + answer, 8)
