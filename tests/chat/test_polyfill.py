import json
from dataclasses import replace

import pytest

from mcp_llama.api import Message
from mcp_llama.chat.polyfill import describe_tools, plain_calls, single_calls
from tests.chat.templates import add, answered, tool

USER = Message(role="user", content="seven and one")
SYSTEM = Message(role="system", content="Be brief.")
FORM = '{"tool_calls": [{"name": "...", "arguments": {...}}]}'


def result(content: str, call_id: str = "call_1", name: str | None = None) -> Message:
    return Message(role="tool", content=content, tool_call_id=call_id, name=name)


def calling(*calls: str, content: str = "") -> Message:
    """The calls of tools with these names; their ids are call_1, call_2 and so on."""
    made = (add("7", call_id=f"call_{index}", name=name) for index, name in enumerate(calls, 1))
    return Message(role="assistant", content=content, tool_calls=tuple(made))


def test_without_tools_nothing_is_described() -> None:
    assert describe_tools([SYSTEM, USER], [], must_call=True, system=True) == [SYSTEM, USER]


def test_a_description_shows_each_tool_as_json_and_the_form_of_a_call() -> None:
    (described, user) = describe_tools([USER], [tool(), tool("größer")], must_call=False, system=True)
    shown = [json.loads(line) for line in described.content.splitlines() if line.startswith('{"name"')]
    assert (described.role, user) == ("system", USER)
    assert shown == [
        {"name": each.name, "description": each.description, "parameters": each.parameters}
        for each in (tool(), tool("größer"))
    ]
    assert "größer" in described.content
    assert FORM in described.content.splitlines()


def test_a_description_says_whether_a_call_is_needed() -> None:
    (may, _) = describe_tools([USER], [tool()], must_call=False, system=True)
    (must, _) = describe_tools([USER], [tool()], must_call=True, system=True)
    assert may.content.endswith("If you need no tool, answer in plain text.")
    assert must.content.endswith("You must call at least one tool now. Do not answer in plain text.")


def test_a_description_ends_the_system_message_that_is_there() -> None:
    (described, user) = describe_tools([SYSTEM, USER], [tool()], must_call=False, system=True)
    assert described.content.startswith("Be brief.\n\nYou can call these tools:\n{")
    assert user == USER


def test_a_description_begins_the_first_user_message_where_there_can_be_no_system_message() -> None:
    messages = [Message(role="assistant", content="Hello."), USER, USER]
    (hello, described, second) = describe_tools(messages, [tool()], must_call=False, system=False)
    assert described.role == "user"
    assert described.content.startswith("You can call these tools:")
    assert described.content.endswith("\n\nseven and one")
    assert (hello, second) == (messages[0], USER)


@pytest.mark.parametrize(("system", "role"), [(True, "system"), (False, "user")])
def test_a_description_is_a_message_of_its_own_where_there_is_none_to_join(system: bool, role: str) -> None:
    described = describe_tools([Message(role="assistant", content="Hello.")], [tool()], must_call=False, system=system)
    assert [message.role for message in described] == [role, "assistant"]


def test_a_description_in_an_empty_message_is_all_of_it() -> None:
    (described,) = describe_tools([Message(role="system")], [tool()], must_call=False, system=True)
    assert described.content.startswith("You can call")


def test_messages_without_calls_stay_as_they_are() -> None:
    messages = [SYSTEM, USER, USER, Message(role="assistant", content="eight"), Message(role="assistant", content="!")]
    assert plain_calls(messages, calls=False, results=False) == messages


def test_calls_and_results_stay_where_the_template_shows_them() -> None:
    assert plain_calls(answered(), calls=True, results=True) == answered()


def test_calls_become_text_of_the_form_that_the_description_asks_for() -> None:
    messages = [USER, calling("add", 'sub"tract')]
    (_, said) = plain_calls(messages, calls=False, results=True)
    assert said == Message(
        role="assistant",
        content='{"tool_calls": [{"name": "add", "arguments": {"number": 7}}, '
        '{"name": "sub\\"tract", "arguments": {"number": 7}}]}',
    )
    assert [entry["name"] for entry in json.loads(said.content)["tool_calls"]] == ["add", 'sub"tract']


def test_arguments_stay_as_the_model_wrote_them() -> None:
    message = Message(role="assistant", tool_calls=(add("", arguments='{ "number":7}'),))
    assert '"arguments": { "number":7}}' in plain_calls([message], calls=False, results=True)[0].content


def test_text_and_reasoning_before_a_call_are_kept() -> None:
    message = replace(calling("add", content="Let me add."), reasoning="hm")
    (said,) = plain_calls([message], calls=False, results=True)
    assert said.content.startswith('Let me add.\n\n{"tool_calls": ')
    assert said.reasoning == "hm"


def test_a_result_whose_call_became_text_still_names_its_tool() -> None:
    assert plain_calls(answered(), calls=False, results=True)[2] == result("eight", name="add")


def test_a_result_keeps_the_name_that_it_has() -> None:
    messages = [*answered()[:2], result("eight", name="multiply")]
    assert plain_calls(messages, calls=False, results=True)[2] == messages[2]


def test_a_result_becomes_a_message_of_the_user_that_names_the_tool() -> None:
    assert plain_calls(answered(), calls=True, results=False) == [
        *answered()[:2],
        Message(role="user", content="Result of the tool add:\neight"),
    ]


def test_a_result_may_name_its_tool_itself_or_not_at_all() -> None:
    (named,) = plain_calls([result("eight", name="add")], calls=True, results=False)
    (unnamed,) = plain_calls([result("eight")], calls=True, results=False)
    assert named.content == "Result of the tool add:\neight"
    assert unnamed.content == "Result of the tool:\neight"


def test_a_result_belongs_to_the_last_call_with_its_id() -> None:
    messages = [calling("add"), result("eight"), calling("subtract"), result("six")]
    plain = plain_calls(messages, calls=True, results=False)
    assert plain[3].content == "Result of the tool subtract:\nsix"


def test_results_and_the_question_after_them_become_one_message() -> None:
    messages = [USER, calling("add", "subtract"), result("eight"), result("six", "call_2"), USER]
    plain = plain_calls(messages, calls=False, results=False)
    assert [message.role for message in plain] == ["user", "assistant", "user"]
    assert plain[2].content == "Result of the tool add:\neight\n\nResult of the tool subtract:\nsix\n\nseven and one"


def test_a_result_after_a_question_joins_it() -> None:
    (joined,) = plain_calls([USER, result("eight")], calls=True, results=False)
    assert joined.content == "seven and one\n\nResult of the tool:\neight"


def test_neighbours_that_were_neighbours_before_stay_apart() -> None:
    messages = [result("eight"), USER, USER]
    plain = plain_calls(messages, calls=True, results=False)
    assert [message.content for message in plain] == ["Result of the tool:\neight\n\nseven and one", "seven and one"]


def test_the_messages_that_were_given_stay_as_they_were() -> None:
    messages = [SYSTEM, *answered(), USER]
    before = list(messages)
    describe_tools(messages, [tool()], must_call=True, system=True)
    plain_calls(messages, calls=False, results=False)
    single_calls(messages)
    assert messages == before


def test_messages_with_one_call_each_stay_as_they_are() -> None:
    messages = [SYSTEM, *answered(), USER]
    assert single_calls(messages) == messages


def test_several_calls_become_one_message_each_before_its_own_results() -> None:
    asked = replace(calling("add", "subtract", content="Let me see."), reasoning="hm")
    first, second = asked.tool_calls
    messages = [USER, asked, result("six", "call_2"), result("eight", "call_1"), USER, result("late", "call_2")]
    assert single_calls(messages) == [
        USER,
        replace(asked, tool_calls=(first,)),
        result("eight", "call_1"),
        Message(role="assistant", tool_calls=(second,)),
        result("six", "call_2"),
        USER,
        result("late", "call_2"),
    ]


def test_a_result_of_another_call_follows_the_last_of_several_calls() -> None:
    messages = [calling("add", "subtract"), result("?", "call_3"), result("eight")]
    assert [message.content for message in single_calls(messages)] == ["", "eight", "", "?"]
