"""Chats with tools through every chat template that llama.cpp keeps, where its sources lie in uv's cache."""

import pytest

from mcp_llama.api import ChatRequest, Message
from mcp_llama.chat.delta import ChatDelta
from mcp_llama.chat.marks import GENERIC
from mcp_llama.chat.plan import Plan
from mcp_llama.errors import RequestError
from tests.chat.answers import written
from tests.chat.plans import allows, last_delta, plan
from tests.chat.templates import answered, tool
from tests.chat.test_vendor_templates import TEMPLATES, each_template, template

pytestmark = pytest.mark.skipif(not TEMPLATES, reason="the sources of llama-cpp-python are not in uv's cache")

REFUSES_ALL = {"fireworks-ai-llama-3-firefunction-v2"}
ROUND = (*answered(), Message(role="assistant", content="It is 8."), Message(role="user", content="nine and one"))
ONE = '{"number": 1}'


def asking(**changes: object) -> ChatRequest:
    options: dict[str, object] = {"messages": ROUND, "tools": (tool("add"), tool("sub")), **changes}
    return ChatRequest(**options)  # pyright: ignore[reportArgumentType]


def planned(name: str, request: ChatRequest) -> Plan | None:
    """The plan, None for the template that refuses every chat."""
    if name in REFUSES_ALL:
        with pytest.raises(RequestError):
            plan(request, template(name))
        return None
    return plan(request, template(name))


def call(found: Plan) -> str:
    """An answer that calls a tool."""
    assert found.start is not None
    reasoning = f"hm{found.marks.end}\n\n" if found.reasons and found.marks else ""
    return reasoning + written(found.start.syntax, ("sub", ONE))


@each_template
def test_a_chat_with_tools_and_a_round_of_them_has_a_plan(name: str) -> None:
    found = planned(name, asking())
    if found is None:
        return
    for word in ("seven and one", "add", "sub", "number", "7", "eight", "It is 8.", "nine and one"):
        assert word in found.prompt
    assert allows(found, call(found))


@each_template
def test_calls_begin_as_the_template_shows_earlier_ones(name: str) -> None:
    found = planned(name, asking())
    if found is not None and found.start is not None:
        assert "".join(f"{found.start.syntax.head}add".split()) in "".join(found.prompt.split())


@each_template
def test_a_required_call_is_forced_and_read(name: str) -> None:
    found = planned(name, asking(tool_choice="required"))
    if found is None:
        return
    text = call(found)
    assert allows(found, text)
    assert not allows(found, text.replace('"number"', '"letter"'))
    assert not allows(found, "Ten.")
    _, delta = last_delta(found, text)
    assert isinstance(delta, ChatDelta)
    assert [piece.name for piece in delta.tool_calls if piece.name] == ["sub"]
    assert "".join(piece.arguments for piece in delta.tool_calls) == ONE
    assert delta.text == ""
    assert delta.finish is not None
    assert delta.finish.reason == "tool_calls"


@each_template
def test_reasoning_can_be_left_out(name: str) -> None:
    found = planned(name, asking(reasoning_effort="none"))
    if found is not None:
        assert not found.reasons
        assert not found.may_reason or found.marks is None


def test_many_templates_call_in_their_own_way() -> None:
    plans = [planned(name, asking()) for name in TEMPLATES]
    native = [found for found in plans if found and found.start and found.start.syntax is not GENERIC]
    assert len(native) >= 15
