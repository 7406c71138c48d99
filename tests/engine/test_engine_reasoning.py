import pytest

from mcp_llama.engine.reasoning import ReasoningRule
from mcp_llama.engine.types import TokenRequest
from tests.engine.conftest import StartEngine
from tests.engine.constraining import constrained, constraint_for
from tests.engine.sequences import finish, request, run
from tests.fake_model import FakeModel

CLOSING = "\n</think>\n\n"
THOUGHT = 'start: thought GAP "yes"\nthought[lazy]: /(?s:.*)<\\/think>/\nGAP: /\\n{0,2}/'


def rule(budget: int | None = None, start: str | None = "<think>") -> ReasoningRule:
    return ReasoningRule(start=start, end="</think>", budget=budget, closing=tuple(CLOSING.encode()))


def reasoned(max_tokens: int, the_rule: ReasoningRule, *, top_logprobs: int | None = None) -> TokenRequest:
    return constrained(request("aaa", max_tokens, top_logprobs=top_logprobs), None, the_rule)


async def test_the_tokens_of_reasoning_are_counted(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["<think>", "one", "two", "</think>", "four"])
    result = await run(start(model), reasoned(20, rule()))
    assert (result.text, result.usage.completion_tokens) == ("<think>onetwo</think>four", 5)
    assert result.usage.reasoning_tokens == 4


async def test_deltas_count_the_reasoning_so_far(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["<thi", "nk>one", "two", "</think>", "four"])
    model.gate.shut()
    counts: dict[int, int] = {}
    async with start(model).generate(reasoned(20, rule())) as generation:
        async for delta in generation:
            counts[delta.completion_tokens] = delta.reasoning_tokens
            model.gate.step()
        model.gate.open()
    assert counts == {0: 0, 1: 0, 2: 2, 3: 3, 4: 4, 5: 4}


async def test_an_answer_without_reasoning_counts_none(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["one", "<think>", "two", "</think>"])
    assert (await run(start(model), reasoned(20, rule(1)))).usage.reasoning_tokens == 0
    assert (await run(start(FakeModel()), request("aaa"))).usage.reasoning_tokens == 0


async def test_reasoning_that_the_prompt_has_opened_counts_from_the_first_token(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["one", "</think>", "three"])
    assert (await run(start(model), reasoned(20, rule(start=None)))).usage.reasoning_tokens == 2


async def test_reasoning_past_its_budget_is_closed_once_and_the_answer_follows(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["<think>", "one", "two", *["…"] * 30])
    result = await run(start(model), reasoned(20, rule(3)))
    assert result.text[: len("<think>onetwo" + CLOSING)] == "<think>onetwo" + CLOSING
    assert result.text.count("</think>") == 1
    assert result.usage.reasoning_tokens == 3 + len("\n</think>")
    assert result.usage.completion_tokens == 20
    assert model.batches[3].tokens[1:] == [*CLOSING.encode()]


async def test_reasoning_that_ends_within_its_budget_is_left_alone(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["<think>", "one", "</think>", "three"])
    result = await run(start(model), reasoned(20, rule(3)))
    assert (result.text, result.usage.reasoning_tokens) == ("<think>one</think>three", 3)


async def test_reasoning_is_not_closed_within_a_character(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", [b"<think>", b"\xf0", b"\x9f", b"\x99", b"\x82", b"x"])
    result = await run(start(model), reasoned(16, rule(2)))
    assert result.text == f"<think>🙂{CLOSING}"


@pytest.mark.parametrize("max_tokens", [3, 4, 8, 13])
async def test_closing_tokens_never_exceed_max_tokens(start: StartEngine, max_tokens: int) -> None:
    model = FakeModel()
    model.script("aaa", ["<think>", "one", "two", "three"])
    result = await run(start(model), reasoned(max_tokens, rule(3)))
    assert result.text == ("<think>onetwo" + CLOSING)[: len("<think>onetwo") + max_tokens - 3]
    assert (result.usage.completion_tokens, result.finish_reason) == (max_tokens, "length")


async def test_a_stop_string_in_the_closing_text_ends_the_answer(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["<think>", "one", "two", "three"])
    asked = constrained(request("aaa", 30, stop=["</think>"]), None, rule(3))
    result = await run(start(model), asked)
    assert (result.text, result.stop) == ("<think>onetwo\n", "</think>")


async def test_with_log_probabilities_closing_tokens_have_theirs_too(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["<think>", "one", "two", *["…"] * 30])
    engine = start(model)
    result = await run(engine, reasoned(16, rule(3), top_logprobs=0))
    plain = await run(engine, reasoned(16, rule(3)))
    assert result.text == plain.text
    assert b"".join(entry.sampled.piece for entry in result.logprobs).decode() == result.text
    assert len(result.logprobs) == result.usage.completion_tokens == 16
    assert result.usage.reasoning_tokens == plain.usage.reasoning_tokens
    assert result.text.count("</think>") == 1


@pytest.mark.parametrize("top_logprobs", [None, 0])
async def test_closing_tokens_go_through_the_constraint(start: StartEngine, top_logprobs: int | None) -> None:
    model = FakeModel()
    model.script("aaa", ["one", "two", *["…"] * 30])
    constraint = constraint_for(model, "lark", THOUGHT)
    asked = constrained(request("aaa", 40, top_logprobs=top_logprobs), constraint, rule(2, start=None))
    result = await run(start(model), asked)
    assert result.text == f"onetwo{CLOSING}yes"
    assert result.finish_reason == "stop"
    assert result.usage.reasoning_tokens == 2 + len("\n</think>")


async def test_leaving_while_closing_tokens_wait_frees_the_slot(start: StartEngine) -> None:
    model = FakeModel(n_slots=1, n_batch=4)
    model.script("aaa", ["<think>", "one", "two", "three"])
    model.gate.shut()
    engine = start(model)
    async with engine.generate(reasoned(30, rule(3))):
        model.gate.step(4)
        await model.gate.held()
    async with engine.generate(request("bbb", 1)) as next_one:
        model.gate.open()
        assert (await finish(next_one)).usage.completion_tokens == 1
