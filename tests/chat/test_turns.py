import pytest

from mcp_llama.api import Message, Tool
from mcp_llama.errors import RequestError
from tests.chat.templates import add, answered, compiled, tool

USER = Message(role="user", content="a")


def test_tools_are_functions_as_hugging_face_has_them() -> None:
    assert compiled("{{ tools | tojson }}").render([USER], [tool()]) == (
        '[{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": '
        '{"type": "object", "properties": {"number": {"type": "integer", "description": "The other one."}}, '
        '"required": ["number"]}}}]'
    )


def test_a_tool_without_parameters_is_an_object_without_properties() -> None:
    template = compiled("{% for t in tools %}{{ t.function.parameters | tojson }}{% endfor %}")
    tools = [Tool(name="now"), Tool(name="then", parameters={"additionalProperties": False})]
    assert template.render([USER], tools) == (
        '{"type": "object", "properties": {}}{"additionalProperties": false, "type": "object", "properties": {}}'
    )


def test_a_call_and_its_result_are_turns_as_hugging_face_has_them() -> None:
    assert compiled("{{ messages[1:] | tojson }}").render(answered()) == (
        '[{"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "type": "function", '
        '"function": {"name": "add", "arguments": {"number": 7}}}]}, '
        '{"role": "tool", "content": "eight", "tool_call_id": "call_1", "name": "add"}]'
    )


def test_a_message_without_calls_and_reasoning_has_only_role_and_content() -> None:
    messages = [Message(role="user", content="a", name="Ada"), Message(role="tool", content="b")]
    assert compiled("{{ messages | tojson }}").render(messages) == (
        '[{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]'
    )


def test_a_result_names_the_tool_of_the_last_call_with_its_id() -> None:
    messages = [*answered(), Message(role="assistant", tool_calls=(add("7", name="subtract"),)), answered()[2]]
    assert compiled("{% for m in messages %}{{ m.name }} {% endfor %}").render(messages) == "  add  subtract "


def test_a_result_may_name_its_tool_itself() -> None:
    messages = [*answered()[:2], Message(role="tool", tool_call_id="call_1", name="multiply")]
    assert compiled("{{ messages[2].name }}").render(messages) == "multiply"


def test_reasoning_goes_by_both_of_its_names() -> None:
    messages = [Message(role="assistant", content="a", reasoning="hm")]
    assert compiled("{{ messages[0].reasoning_content }} {{ messages[0].thinking }}").render(messages) == "hm hm"


def test_reasoning_before_calls_alone_goes_by_both_names() -> None:
    messages = [Message(role="assistant", reasoning="hm", tool_calls=(add("7"),))]
    assert compiled("{{ messages[0].reasoning_content }} {{ messages[0].thinking }}").render(messages) == "hm hm"


def test_reasoning_before_text_and_calls_is_not_called_thinking() -> None:
    messages = [Message(role="assistant", content="a", reasoning="hm", tool_calls=(add("7"),))]
    assert (
        compiled("{{ messages[0].reasoning_content }} {{ 'thinking' in messages[0] }}").render(messages) == "hm False"
    )


@pytest.mark.parametrize("arguments", ["", "{", "[1]", "null", "[" * 100_000, "9" * 5_000])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    call = add("7", arguments=arguments)
    with pytest.raises(
        RequestError, match=r"^The arguments of a call of tool 'add' are .* Send the JSON text of an obj"
    ):
        compiled("{{ 1 }}").render([Message(role="assistant", tool_calls=(call,))])
