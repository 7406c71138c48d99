"""What becomes of the tools of a chat: how the model is told of them, and which calls it may make."""

import pytest

from mcp_llama.api import ChatRequest, Message, NamedTool, OutputFormat, Tool
from mcp_llama.chat.call_start import CallStart
from mcp_llama.chat.delta import ChatDelta
from mcp_llama.chat.marks import GENERIC, HERMES, LLAMA, MISTRAL_LIST, CallSyntax
from mcp_llama.chat.plan import ChatDefaults, render_chat
from mcp_llama.chat.template import ChatTemplate
from mcp_llama.errors import RequestError, UnknownNameError
from tests.chat import plans
from tests.chat.answers import written
from tests.chat.plans import PLAIN, USER, allows, last_delta, plan
from tests.chat.templates import add, answered, tool

NATIVE = {
    "qwen": (plans.QWEN, HERMES),
    "qwq": (plans.QWQ, HERMES),
    "mistral": (plans.MISTRAL, MISTRAL_LIST),
    "llama": (plans.LLAMA, LLAMA),
}
native = pytest.mark.parametrize(("template", "syntax"), NATIVE.values(), ids=NATIVE)
ADD, SUB = tool("add"), tool("sub")
ONE = '{"number": 1}'
ASK = ChatRequest(messages=(USER,), tools=(ADD, SUB))


def asking(**changes: object) -> ChatRequest:
    options: dict[str, object] = {"messages": (USER,), "tools": (ADD, SUB), **changes}
    return ChatRequest(**options)  # pyright: ignore[reportArgumentType]


def thought(template: ChatTemplate) -> str:
    return "hm</think>\n\n" if template is plans.QWQ else ""


@native
def test_a_template_with_tools_is_told_of_them_in_its_own_way(template: ChatTemplate, syntax: CallSyntax) -> None:
    found = plan(ASK, template)
    assert found.start == CallStart(syntax, ("add", "sub"))
    assert found.prompt == template.render([USER], [ADD, SUB])
    assert "tool_calls" not in found.prompt
    call = thought(template) + written(syntax, ("add", ONE))
    assert allows(found, call)
    _, delta = last_delta(found, call)
    assert isinstance(delta, ChatDelta)
    assert [piece.name for piece in delta.tool_calls if piece.name] == ["add"]


def test_a_template_without_tools_is_told_of_them_in_words() -> None:
    found = plan(ASK, PLAIN)
    assert found.start == CallStart(GENERIC, ("add", "sub"))
    for word in ('"name": "add"', '"name": "sub"', '{"tool_calls": [{"name": "...", "arguments": {...}}]}'):
        assert word in found.prompt
    assert allows(found, written(GENERIC, ("sub", ONE)))
    assert allows(found, "I need no tool.")


def test_a_template_whose_calls_are_of_another_syntax_is_told_in_words() -> None:
    source = plans.QWEN.source.replace("<tool_call>", "<tool_call><function=")
    template = ChatTemplate(source, bos_text="", eos_text="")
    assert template.traits.tools
    found = plan(ASK, template)
    assert found.start == CallStart(GENERIC, ("add", "sub"))
    assert '{"tool_calls": [{"name": "...", "arguments": {...}}]}' in found.prompt


def test_a_template_that_refuses_these_tools_is_told_in_words() -> None:
    refusing = "{% if tools and tools | length > 1 %}{{ raise_exception('One only.') }}{% endif %}"
    template = ChatTemplate(refusing + plans.QWEN.source, bos_text="", eos_text="")
    assert plan(asking(tools=(ADD,)), template).start == CallStart(HERMES, ("add",))
    assert plan(ASK, template).start == CallStart(GENERIC, ("add", "sub"))


def test_what_a_template_refuses_in_any_form_is_refused() -> None:
    template = ChatTemplate("{{ raise_exception('Never.') }}" + plans.QWEN.source, bos_text="", eos_text="")
    with pytest.raises(RequestError, match="Never"):
        plan(ASK, template)


@native
def test_calls_and_results_of_earlier_turns_are_shown(template: ChatTemplate, syntax: CallSyntax) -> None:
    messages = (*answered(), Message(role="user", content="sure?"))
    for found in (plan(asking(messages=messages), template), plan(ChatRequest(messages=messages), template)):
        for word in ("seven and one", '"number": 7', "eight", "sure?"):
            assert word in found.prompt
        assert syntax.trigger.rstrip() in found.prompt


def test_several_calls_of_a_turn_are_shown_one_by_one_where_the_template_takes_no_more() -> None:
    single = (
        "{% for message in messages %}{% if message.tool_calls and message.tool_calls | length > 1 %}"
        "{{ raise_exception('One at once.') }}{% endif %}{% endfor %}"
    )
    template = ChatTemplate(single + plans.LLAMA.source, bos_text="", eos_text="")
    calls = (add("7"), add("8", call_id="call_2", name="sub"))
    results = tuple(Message(role="tool", content=f"is {call.id}", tool_call_id=call.id) for call in calls)
    found = plan(asking(messages=(USER, Message(role="assistant", tool_calls=calls), *results)), template)
    assert found.start == CallStart(LLAMA, ("add", "sub"))
    for word in ('"number": 7', '"number": 8', "is call_1", "is call_2"):
        assert word in found.prompt


def test_calls_and_results_are_told_in_words_where_the_template_shows_none() -> None:
    found = plan(ChatRequest(messages=tuple(answered())), PLAIN)
    assert '{"tool_calls": [{"name": "add", "arguments": {"number": 7}}]}' in found.prompt
    assert "Result of the tool add:\neight" in found.prompt
    assert found.start is None
    assert found.grammar is None
    assert found.reader() is None


@pytest.mark.parametrize("template", [PLAIN, plans.QWEN], ids=["plain", "qwen"])
def test_with_the_choice_none_the_model_hears_of_no_tool_and_may_call_none(template: ChatTemplate) -> None:
    found = plan(asking(tool_choice="none"), template)
    assert found.prompt == template.render([USER])
    assert (found.start, found.grammar) == (None, None)


@pytest.mark.parametrize("template", [PLAIN, plans.QWEN, plans.QWQ, plans.MISTRAL, plans.LLAMA])
def test_a_required_choice_leaves_only_calls(template: ChatTemplate) -> None:
    found = plan(asking(tool_choice="required"), template)
    assert found.start is not None
    assert found.start.beside == "nothing"
    for name in ("add", "sub"):
        assert allows(found, thought(template) + written(found.start.syntax, (name, ONE)))
    assert not allows(found, thought(template) + "Eight.")
    assert not allows(found, thought(template))


@pytest.mark.parametrize("template", [PLAIN, plans.QWEN, plans.QWQ, plans.MISTRAL, plans.LLAMA])
def test_a_named_choice_leaves_only_calls_of_that_tool(template: ChatTemplate) -> None:
    found = plan(asking(tool_choice=NamedTool("sub")), template)
    assert found.start is not None
    assert (found.start.names, found.start.beside) == (("sub",), "nothing")
    assert allows(found, thought(template) + written(found.start.syntax, ("sub", ONE)))
    assert not allows(found, thought(template) + written(found.start.syntax, ("add", ONE)))
    assert '"add"' in found.prompt, "the prefix cache knows the prompt with all tools"


def test_a_choice_that_must_be_made_is_told_in_words() -> None:
    assert "You must call at least one tool now." in plan(asking(tool_choice="required"), PLAIN).prompt
    assert "You must call" not in plan(ASK, PLAIN).prompt


def test_a_format_stands_beside_calls_unless_these_must_come() -> None:
    form = OutputFormat("json_object")
    found = plan(asking(format=form), plans.QWEN)
    assert found.start == CallStart(HERMES, ("add", "sub"), "format")
    assert allows(found, '{"a": 1}')
    assert not allows(found, "Eight.")
    assert not allows(plan(asking(format=form, tool_choice="required"), plans.QWEN), '{"a": 1}')
    assert not allows(plan(asking(format=form, tool_choice="none"), plans.QWEN), written(HERMES, ("add", ONE)))


@pytest.mark.parametrize(
    ("template", "asked", "several"),
    [
        (plans.QWEN, None, True),
        (plans.QWEN, True, True),
        (plans.QWEN, False, False),
        (PLAIN, None, False),
        (PLAIN, True, True),
        (plans.LLAMA, True, False),
    ],
)
def test_calls_may_be_parallel_as_asked_or_as_the_model_is_used_to(
    template: ChatTemplate, asked: bool | None, several: bool
) -> None:
    found = plan(asking(parallel_tool_calls=asked), template)
    assert found.start is not None
    assert allows(found, written(found.start.syntax, ("add", ONE)))
    assert allows(found, written(found.start.syntax, ("add", ONE), ("sub", ONE))) == several


@pytest.mark.parametrize("name", ["", "a b", "a\n", "naïve", "a" * 129, 'a"b', "a[b", "{{ x }}"])
def test_a_name_that_is_not_allowed_is_refused(name: str) -> None:
    with pytest.raises(
        RequestError, match=r"^Tool name .* is not allowed\. Take 1 to 128 letters, digits, _ - \. : or /"
    ):
        plan(asking(tools=(Tool(name=name),)))


def test_names_of_all_kinds_are_allowed() -> None:
    names = ("a", "A-1_b.c:d/e", "9", "a" * 128)
    found = plan(asking(tools=tuple(Tool(name=name) for name in names)))
    assert all(allows(found, written(GENERIC, (name, "{}"))) for name in names)


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(RequestError, match=r"^Two tools are called 'add'\. Give each one a name of its own\.$"):
        plan(asking(tools=(ADD, SUB, ADD)))


def test_tools_may_be_many_but_not_too_many() -> None:
    tools = tuple(Tool(name=f"t{number}") for number in range(129))
    assert allows(plan(asking(tools=tools[:128])), written(GENERIC, ("t127", "{}")))
    with pytest.raises(RequestError, match=r"^There are 129 tools, but at most 128 may be given\.$"):
        plan(asking(tools=tools))
    with pytest.raises(RequestError, match=r"^There are 200000 tools"):
        plan(asking(tools=(tools[0],) * 200_000))


def test_a_choice_that_names_no_tool_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"^Unknown tool in tool_choice 'sup'\. Did you mean 'sub'\?$"):
        plan(asking(tool_choice=NamedTool("sup")))
    with pytest.raises(UnknownNameError, match=r"There are none\.$"):
        plan(asking(tools=(), tool_choice=NamedTool("sub")))


def test_a_call_cannot_be_required_of_no_tools() -> None:
    with pytest.raises(RequestError, match=r"^tool_choice is required, but there are no tools\. Give some\.$"):
        plan(asking(tools=(), tool_choice="required"))


def test_the_prompt_alone_is_that_of_the_plan() -> None:
    for request in (ASK, asking(tool_choice="required"), asking(reasoning_budget=0)):
        for template in (PLAIN, plans.QWEN, plans.QWQ):
            assert render_chat(request, template, ChatDefaults()) == plan(request, template).prompt
    with pytest.raises(RequestError, match="Two tools"):
        render_chat(asking(tools=(ADD, ADD)), PLAIN, ChatDefaults())
