"""Where an answer begins: whether it reasons, and what it has already."""

import pytest

from mcp_llama.api import ChatRequest, Message, OutputFormat, Result, Timings, Tool, Usage
from mcp_llama.chat.delta import ChatDelta
from mcp_llama.chat.marks import ReasoningMarks
from mcp_llama.chat.plan import ChatDefaults, Plan, render_chat
from mcp_llama.errors import ConstraintError, RequestError, UnknownNameError
from tests.chat.answers import THINK
from tests.chat.plans import EFFORT, PLAIN, QWEN, QWQ, USER, allows, last_delta, plan, said
from tests.chat.templates import answered, tool

OBJECT = OutputFormat("json_object")
ANSWER = "<user>seven and one</s><assistant>"


def asking(*messages: Message, **changes: object) -> ChatRequest:
    options: dict[str, object] = {"messages": (USER, *messages), **changes}
    return ChatRequest(**options)  # pyright: ignore[reportArgumentType]


def state(found: Plan) -> str:
    assert not (found.reasons and found.may_reason)
    return "open" if found.reasons else "possible" if found.may_reason else "none"


def completed(found: Plan, text: str) -> Result:
    made, delta = last_delta(found, text)
    usage = Usage(prompt_tokens=1, cached_tokens=0, completion_tokens=1)
    timings = Timings(queue_s=0, ttft_s=None, total_s=1)
    return made.complete(Result(text=delta.text, finish_reason="stop", stop=None, seed=1, usage=usage, timings=timings))


def test_no_messages_are_refused() -> None:
    with pytest.raises(RequestError, match=r"^messages is empty\. Send at least one message\.$"):
        plan(ChatRequest(messages=()))
    with pytest.raises(RequestError, match=r"^messages is empty"):
        render_chat(ChatRequest(messages=()), PLAIN, ChatDefaults())


def test_a_model_that_knows_no_reasoning_answers_at_once() -> None:
    found = plan(asking(reasoning_budget=0), PLAIN)
    assert (found.prompt, state(found), found.marks) == ("<user>seven and one<assistant>", "none", None)
    assert found.reader() is None


def test_a_model_that_may_reason_is_left_to() -> None:
    found = plan(asking(), QWEN)
    assert (found.prompt, state(found), found.marks) == (ANSWER, "possible", THINK)
    _, delta = last_delta(found, "<think>hm</think>\n\nEight.")
    assert isinstance(delta, ChatDelta)
    assert (delta.reasoning, delta.text) == ("hm", "Eight.")


def test_reasoning_that_the_template_opens_is_open() -> None:
    found = plan(asking(), QWQ)
    assert (found.prompt, state(found)) == (f"{ANSWER}<think>\n", "open")
    _, delta = last_delta(found, "hm</think>\n\nEight.")
    assert isinstance(delta, ChatDelta)
    assert (delta.reasoning, delta.text) == ("hm", "Eight.")


def test_an_option_of_the_template_may_close_the_reasoning() -> None:
    found = plan(asking(template_options={"enable_thinking": False}), QWEN)
    assert (found.prompt, state(found)) == (f"{ANSWER}<think>\n\n</think>\n\n", "none")
    assert found.reader() is None


def test_the_effort_none_uses_the_switch_of_the_template() -> None:
    found = plan(asking(reasoning_effort="none"), QWEN)
    assert (found.prompt, state(found), found.reasoning_budget) == (f"{ANSWER}<think>\n\n</think>\n\n", "none", 0)


@pytest.mark.parametrize("changes", [{"reasoning_budget": 0}, {"reasoning_effort": "none"}])
def test_a_budget_of_nothing_closes_the_reasoning_that_the_template_opens(changes: dict[str, object]) -> None:
    found = plan(asking(**changes), QWQ)
    assert (found.prompt, state(found)) == (f"{ANSWER}<think>\n\n</think>\n\n", "none")


def test_a_budget_of_nothing_writes_reasoning_that_is_empty() -> None:
    found = plan(asking(reasoning_budget=0), QWEN)
    assert (found.prompt, state(found)) == (f"{ANSWER}<think>\n\n</think>\n\n", "none")


@pytest.mark.parametrize(
    ("asked", "default", "budget"), [(None, None, None), (None, 7, 7), (5, 7, 5), (0, 7, 0), (5, None, 5)]
)
def test_the_budget_is_that_of_the_request_or_of_the_server(
    asked: int | None, default: int | None, budget: int | None
) -> None:
    found = plan(asking(reasoning_budget=asked), QWQ, ChatDefaults(reasoning_budget=default))
    assert found.reasoning_budget == budget
    assert state(found) == ("none" if budget == 0 else "open")


def test_the_effort_none_beats_a_budget() -> None:
    assert plan(asking(reasoning_effort="none", reasoning_budget=9), QWQ).reasoning_budget == 0


def test_an_effort_is_told_to_a_template_that_knows_it() -> None:
    assert plan(asking(reasoning_effort="high"), EFFORT).prompt.startswith("high")


def test_an_effort_that_the_template_does_not_know_is_refused_with_a_way_out() -> None:
    with pytest.raises(
        RequestError, match=r"knows no reasoning_effort 'high'\. Leave it out, or set reasoning_budget\.$"
    ):
        plan(asking(reasoning_effort="high"), QWEN)


def test_an_option_that_the_template_does_not_know_is_refused_with_tools_too() -> None:
    for tools in ((), (tool(),)):
        with pytest.raises(UnknownNameError, match="Did you mean 'enable_thinking'"):
            plan(asking(template_options={"enable_thinkin": False}, tools=tools), QWEN)


def test_marks_of_the_server_beat_those_of_the_template() -> None:
    marks = ReasoningMarks("[r]", "[/r]")
    found = plan(asking(), QWEN, ChatDefaults(marks=marks))
    assert found.marks == marks
    _, delta = last_delta(found, "[r]hm[/r]Eight.")
    assert isinstance(delta, ChatDelta)
    assert (delta.reasoning, delta.text) == ("hm", "Eight.")


def test_reasoning_stays_in_the_text_where_it_is_not_to_be_split() -> None:
    assert plan(asking(split_reasoning=False), QWEN).reader() is None
    found = plan(asking(split_reasoning=False, tools=(tool(),)), QWEN)
    _, delta = last_delta(found, "<think>a <tool_call> b</think>\n\nEight.")
    assert isinstance(delta, ChatDelta)
    assert (delta.reasoning, delta.text) == ("", "<think>a <tool_call> b</think>\n\nEight.")
    assert completed(plan(asking(split_reasoning=False, format=OBJECT), QWEN), '<think></think>{"a": 1}').parsed == {
        "a": 1
    }


def test_a_trailing_text_is_continued() -> None:
    for template, before in ((PLAIN, "<assistant>"), (QWEN, "<assistant>"), (EFFORT, "<assistant></think>")):
        for tools in ((), (tool(),)):
            found = plan(asking(said(" Ei"), tools=tools), template)
            assert found.prompt.endswith(before + " Ei")
            assert (found.begun, state(found)) == (" Ei", "none")


def test_a_trailing_text_follows_the_reasoning_that_the_template_opens() -> None:
    found = plan(asking(said("Ei")), QWQ)
    assert (found.prompt, state(found), found.begun) == (f"{ANSWER}<think>\n\n</think>\n\nEi", "none", "Ei")


def test_trailing_reasoning_is_continued() -> None:
    for template in (QWEN, QWQ):
        found = plan(asking(said(reasoning="hm, so")), template)
        assert (found.prompt, state(found), found.begun) == (f"{ANSWER}<think>\nhm, so", "open", "")


def test_trailing_reasoning_and_text_are_both_kept() -> None:
    for template in (QWEN, QWQ):
        found = plan(asking(said("Ei", reasoning="hm")), template)
        assert (found.prompt, state(found), found.begun) == (f"{ANSWER}<think>\nhm\n</think>\n\nEi", "none", "Ei")


def test_trailing_reasoning_is_closed_where_no_more_is_wanted() -> None:
    found = plan(asking(said(reasoning="hm"), reasoning_budget=0), QWQ)
    assert (found.prompt, state(found)) == (f"{ANSWER}<think>\nhm\n</think>\n\n", "none")


def test_trailing_calls_must_be_answered_first() -> None:
    for template in (PLAIN, QWEN):
        with pytest.raises(
            RequestError, match=r"^The last message calls tools: answer them with tool messages first\.$"
        ):
            plan(ChatRequest(messages=tuple(answered()[:2])), template)


def test_a_trailing_text_that_has_a_format_is_continued_in_it() -> None:
    found = plan(asking(said('{"a": '), format=OBJECT), QWEN)
    assert allows(found, "1}")
    assert not allows(found, "}")
    result = completed(found, "1}")
    assert (result.text, result.parsed) == ("1}", {"a": 1})


def test_a_trailing_call_is_continued_as_one() -> None:
    found = plan(asking(said('<tool_call>\n{"name": "add", "argu'), tools=(tool(),)), QWEN)
    rest = 'ments": {"number": 1}}\n</tool_call>'
    assert allows(found, rest)
    result = completed(found, rest)
    assert [(call.name, call.arguments) for call in result.tool_calls] == [("add", '{"number": 1}')]
    assert result.text == ""


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(ConstraintError, match=r"^The JSON schema cannot be enforced"):
        plan(asking(format=OutputFormat("json_schema", {"type": "strin"})))


def test_what_is_relaxed_reaches_the_result() -> None:
    unique = Tool(name="add", parameters={"properties": {"n": {"type": "array", "uniqueItems": True}}})
    (note,) = completed(plan(asking(tools=(unique,)), PLAIN), "Eight.").notes
    assert note.startswith("The schema of tool 'add': 'uniqueItems' at '/properties/n'")
