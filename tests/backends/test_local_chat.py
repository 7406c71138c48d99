"""Chats through the whole of LocalBackend: template, grammar, engine and parser."""

from collections.abc import Iterator

import anyio
import pytest

from mcp_llama.api import ChatRequest, Limits, Message, NamedTool, OutputFormat, Result, Tool, ToolCall
from mcp_llama.backends.local import LocalBackend
from mcp_llama.chat.delta import ChatDelta
from mcp_llama.chat.plan import ChatDefaults
from mcp_llama.engine.types import TokenDelta
from mcp_llama.errors import ConstraintError, RequestError
from tests.backends.one_model import backend_of
from tests.chat.answers import Answer
from tests.chat.plans import QWEN, QWQ, said
from tests.fake_model import FakeModel

PATIENCE_S = 10
USER = Message(role="user", content="seven and one")
PROMPT = "<user>seven and one</s><assistant>"
ADD = Tool(
    name="add",
    parameters={
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    },
)
CALL = '<tool_call>\n{"name": "add", "arguments": {"n": 7}}\n</tool_call>'
OBJECT = OutputFormat("json_object")


@pytest.fixture
def model() -> FakeModel:
    model = FakeModel(n_ctx=4096, n_batch=4096)
    model.chat_template = QWEN.source
    return model


@pytest.fixture
def backend(model: FakeModel) -> Iterator[LocalBackend]:
    backend = backend_of("small", lambda report: model, chat=ChatDefaults())
    yield backend
    anyio.run(backend.close)


def asking(*messages: Message, **changes: object) -> ChatRequest:
    options: dict[str, object] = {"messages": (USER, *messages), **changes}
    return ChatRequest(**options)  # pyright: ignore[reportArgumentType]


def script(model: FakeModel, begun: str, pieces: str | list[str]) -> None:
    """Fix the answer to USER; `begun` is what the prompt holds of it."""
    model.script(model.tokenize(PROMPT + begun, add_special=False, parse_special=True), pieces)


async def heard(backend: LocalBackend, request: ChatRequest) -> tuple[Result, list[TokenDelta]]:
    with anyio.fail_after(PATIENCE_S):
        async with await backend.chat(request) as generation:
            deltas = [delta async for delta in generation]
            return await generation.result(), deltas


async def answer(backend: LocalBackend, request: ChatRequest) -> Result:
    return (await heard(backend, request))[0]


def calls_of(result: Result) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in result.tool_calls]


def joined(deltas: list[TokenDelta]) -> Answer:
    found = Answer()
    for delta in deltas:
        assert isinstance(delta, ChatDelta)
        found.add(delta)  # pyright: ignore[reportArgumentType]
    return found


async def test_a_call_streams_and_is_in_the_result(backend: LocalBackend, model: FakeModel) -> None:
    model.script(None, "I add. " + CALL)
    result, deltas = await heard(backend, asking(tools=(ADD,)))
    assert joined(deltas) == Answer(text="I add. ", calls=[("add", '{"n": 7}')])
    assert (result.text, result.finish_reason, result.notes) == ("I add. ", "tool_calls", ())
    assert result.tool_calls == (ToolCall(id=joined(deltas).ids[0], name="add", arguments='{"n": 7}'),)
    assert deltas[-1].finish is not None
    assert deltas[-1].finish.reason == "tool_calls"


async def test_arguments_follow_the_schema_whatever_the_model_would_write(
    backend: LocalBackend, model: FakeModel
) -> None:
    model.script(None, CALL.replace("7", '"seven"'), eog=False)
    result = await answer(backend, asking(tools=(ADD,), limits=Limits(max_tokens=400)))
    assert result.tool_calls
    assert result.tool_calls[0].arguments.startswith('{"n": ')
    assert "seven" not in result.tool_calls[0].arguments


async def test_an_answer_without_a_call_is_text(backend: LocalBackend, model: FakeModel) -> None:
    model.script(None, "Eight.")
    result = await answer(backend, asking(tools=(ADD,)))
    assert (result.text, result.finish_reason, result.tool_calls) == ("Eight.", "stop", ())


@pytest.mark.parametrize("choice", ["required", NamedTool("add")])
async def test_a_call_that_must_come_comes_whatever_the_model_would_write(
    choice: object, backend: LocalBackend, model: FakeModel
) -> None:
    model.script(None, " " * len('<tool_call>\n{"name": "add", "arguments": {"n": ') + "7}}\n</tool_call>")
    result = await answer(backend, asking(tools=(ADD,), tool_choice=choice, reasoning_budget=0))
    assert (result.text, calls_of(result), result.finish_reason) == ("", [("add", '{"n": 7}')], "tool_calls")


async def test_reasoning_is_split_and_counted(backend: LocalBackend, model: FakeModel) -> None:
    script(model, "", ["<think>", "se", "ven", "</think>", "\n\n", "Eight."])
    result, deltas = await heard(backend, asking())
    assert joined(deltas) == Answer(reasoning="seven", text="Eight.")
    assert (result.reasoning, result.text, result.finish_reason) == ("seven", "Eight.", "stop")
    assert (result.usage.reasoning_tokens, result.usage.completion_tokens) == (4, 6)


async def test_reasoning_before_a_call_may_tell_of_calls(backend: LocalBackend, model: FakeModel) -> None:
    model.chat_template = QWQ.source
    model.script(None, f"maybe {CALL}?</think>\n\n{CALL}")
    result = await answer(backend, asking(tools=(ADD,)))
    assert (result.reasoning, result.text, calls_of(result)) == (f"maybe {CALL}?", "", [("add", '{"n": 7}')])


async def test_reasoning_ends_with_its_budget(backend: LocalBackend, model: FakeModel) -> None:
    model.chat_template = QWQ.source
    closing = "\n</think>\n\n"
    script(model, "<think>\n", "x" * (4 + len(closing)) + "Eight.")
    result = await answer(backend, asking(reasoning_budget=4))
    assert (result.reasoning, result.text) == ("xxxx\n", "Eight.")
    assert 4 <= result.usage.reasoning_tokens <= 4 + len(closing)


async def test_a_budget_of_nothing_answers_at_once(backend: LocalBackend, model: FakeModel) -> None:
    script(model, "<think>\n\n</think>\n\n", "Eight.")
    result = await answer(backend, asking(reasoning_budget=0))
    assert (result.reasoning, result.text, result.usage.reasoning_tokens) == ("", "Eight.", 0)


async def test_an_answer_that_only_reasoned_is_told(backend: LocalBackend, model: FakeModel) -> None:
    script(model, "", "<think>seven and one is")
    result = await answer(backend, asking(limits=Limits(max_tokens=12)))
    assert (result.text, result.reasoning, result.finish_reason) == ("", "seven", "length")
    assert result.notes == (
        "The answer is empty: max_tokens ended the reasoning. Raise max_tokens, or set reasoning_budget.",
    )


async def test_reasoning_stays_in_the_text_if_asked(backend: LocalBackend, model: FakeModel) -> None:
    text = f"<think>not {CALL}</think>\n\nYes: "
    model.script(None, text + CALL)
    result = await answer(backend, asking(tools=(ADD,), split_reasoning=False))
    assert (result.text, result.reasoning, calls_of(result)) == (text, "", [("add", '{"n": 7}')])


async def test_a_format_holds_and_is_parsed(backend: LocalBackend, model: FakeModel) -> None:
    script(model, "", '{"a": [1]}')
    result = await answer(backend, asking(format=OBJECT))
    assert (result.text, result.parsed, result.finish_reason) == ('{"a": [1]}', {"a": [1]}, "stop")


async def test_a_format_holds_behind_the_reasoning(backend: LocalBackend, model: FakeModel) -> None:
    script(model, "", '<think>hm</think>\n\n{"a": [1]}')
    result = await answer(backend, asking(format=OBJECT))
    assert (result.reasoning, result.text, result.parsed) == ("hm", '{"a": [1]}', {"a": [1]})


async def test_a_format_that_was_cut_off_is_told(backend: LocalBackend, model: FakeModel) -> None:
    script(model, "", '{"a": [1, 2, 3]}')
    result = await answer(backend, asking(format=OBJECT, limits=Limits(max_tokens=8)))
    assert (result.parsed, result.finish_reason) == (None, "length")
    assert result.notes == ("The JSON is incomplete: max_tokens ended it.",)


async def test_a_call_that_was_cut_off_is_told(backend: LocalBackend, model: FakeModel) -> None:
    model.script(None, CALL)
    result = await answer(backend, asking(tools=(ADD,), limits=Limits(max_tokens=len(CALL) - 18)))
    assert result.finish_reason == "length"
    assert [call.name for call in result.tool_calls] == ["add"]
    assert result.notes == ("The last tool call is incomplete: max_tokens ended it.",)


async def test_begun_json_is_continued_to_a_whole(backend: LocalBackend, model: FakeModel) -> None:
    script(model, '{"a": ', "[1]}")
    result = await answer(backend, asking(said('{"a": '), format=OBJECT))
    assert (result.text, result.parsed) == ("[1]}", {"a": [1]})


async def test_a_begun_call_is_continued_to_a_whole(backend: LocalBackend, model: FakeModel) -> None:
    model.script(None, CALL[30:])
    result, deltas = await heard(backend, asking(said(CALL[:30]), tools=(ADD,)))
    assert (result.text, calls_of(result), result.finish_reason) == ("", [("add", '{"n": 7}')], "tool_calls")
    assert joined(deltas).calls == [("add", '{"n": 7}')]


async def test_the_same_chat_may_be_asked_again(backend: LocalBackend, model: FakeModel) -> None:
    model.script(None, CALL)
    results = [await answer(backend, asking(tools=(ADD,))) for _ in range(3)]
    assert [calls_of(result) for result in results] == [[("add", '{"n": 7}')]] * 3
    assert len({result.tool_calls[0].id for result in results}) == 3


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"tools": (ADD, ADD)}, RequestError, "^Two tools are called 'add'"),
        ({"tools": (ADD,), "tool_choice": NamedTool("sub")}, RequestError, "^Unknown tool in tool_choice 'sub'"),
        ({"tool_choice": "required"}, RequestError, "^tool_choice is required, but there are no tools"),
        ({"reasoning_effort": "high"}, RequestError, "knows no reasoning_effort 'high'"),
        ({"tools": (Tool(name="add", parameters={"type": "string"}),)}, ConstraintError, "^The schema of tool 'add'"),
        ({"format": OutputFormat("regex", "(")}, ConstraintError, "^The regular expression cannot be enforced"),
        ({"format": OutputFormat("json_schema", {"type": "objekt"})}, ConstraintError, "^The JSON schema cannot"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_computed(
    changes: dict[str, object], kind: type[RequestError], message: str, backend: LocalBackend, model: FakeModel
) -> None:
    with pytest.raises(kind, match=message):
        await backend.chat(asking(**changes))
    assert model.batches == []


async def test_a_beginning_that_does_not_fit_is_refused_with_a_way_out(backend: LocalBackend) -> None:
    for request in (asking(said("Eight"), format=OBJECT), asking(said("x"), tools=(ADD,), tool_choice="required")):
        with pytest.raises(RequestError, match=r"does not fit the format or the tools\. Remove it"):
            await backend.chat(request)
