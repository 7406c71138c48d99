"""Tool calls in answers, and texts that only look like them."""

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_llama.chat.call_start import CallStart
from mcp_llama.chat.marks import GENERIC, HERMES, LLAMA, MISTRAL_ARGS, CallSyntax
from mcp_llama.chat.parser import AnswerParser
from tests.chat.answers import THINK, Answer, each_syntax, free, parser, read, written


@each_syntax
def test_the_parts_of_a_whole_answer_come_apart(syntax: CallSyntax) -> None:
    calls = [("add", '{"n": 1}'), ("sub", '{"a": "}]"}')][: 2 if syntax.separator else 1]
    said = "I add.\n" if syntax.anywhere else ""
    text = f"\n<think>\nshould I?\n</think>\n\n{said}{written(syntax, *calls)}"
    for pieces in ([text], list(text)):
        made = parser(syntax)
        assert read(made, pieces) == Answer(reasoning="\nshould I?\n", text=said, calls=calls)
        assert made.has_calls


@each_syntax
def test_the_text_before_calls_is_told_before_the_call(syntax: CallSyntax) -> None:
    if syntax.anywhere:
        made = parser(syntax)
        parts = made.push("I add. " + syntax.trigger)
        assert (parts.text, parts.tool_calls) == ("I add. ", ())


@pytest.mark.parametrize(
    "text",
    [
        '{"tool_calls": 5}',
        '{"tool_calls": []}',
        '{"tool_calls": [{"name": 5}]}',
        '{"tool_calls": [{"nam": "add", "arguments": {}}]}',
        '{ "tool_calls"     : [{"name": "add", "arguments": {}}]}',
        'Sure: {"tool_calls": [{"name": "add", "arguments": {}}]}',
        '\u00a0{"tool_calls": [{"name": "add", "arguments": {}}]}',
        '{"tool _calls": [{"name": "add", "arguments": {}}]}',
        '{"tool_calls": [{"name": ',
    ],
)
def test_what_only_looks_like_calls_is_text(text: str) -> None:
    made = parser(GENERIC)
    assert read(made, list(text)) == Answer(text=text)
    assert not made.is_calling


@pytest.mark.parametrize(
    "text",
    [
        "Write `<tool_call>` to call.",
        "<tool_call> is a mark",
        '<tool _call>\n{"name": "add',
        "< tool_call >",
        "<tool_call><tool_call>",
        'a <tool_call>\n{"nome": "add"}',
        "<tool_call",
        '<tool_call>\n{"na',
    ],
)
def test_a_trigger_without_its_head_is_text(text: str) -> None:
    assert read(parser(HERMES), list(text)) == Answer(text=text)


def test_white_space_before_calls_is_text_only_where_text_is() -> None:
    calls = written(HERMES, ("add", "{}"))
    for text, said, reasoning in (
        ("\n\n", "", ""),
        ("\nx\n", "\nx\n", ""),
        ("\n<tool_call> ", "\n<tool_call> ", ""),
        ("<think>hm</think>\n\n", "", "hm"),
        ("<think>hm</think>\n<tool_call> ", "<tool_call> ", "hm"),
    ):
        assert read(parser(HERMES), list(text + calls)) == Answer(reasoning, said, [("add", "{}")])
    verbatim = AnswerParser(THINK, free(HERMES), verbatim=True)
    assert read(verbatim, ["<think>hm</think>\n\n" + calls]).reasoning == "<think>hm</think>\n\n"


@each_syntax
def test_without_tools_a_call_is_text(syntax: CallSyntax) -> None:
    text = "He said: " + written(syntax, ("add", "{}"))
    assert read(parser(), [text]) == Answer(text=text)
    assert read(parser(), [written(syntax, ("add", "{}"))]) == Answer(text=written(syntax, ("add", "{}")))


def test_a_head_may_follow_what_almost_was_one() -> None:
    calls = written(HERMES, ("add", "{}"))
    for almost in ("<tool_call", "<tool_call>", "<<", "<tool_call>\n{", "<tool_<tool_call>x"):
        assert read(parser(HERMES), list(almost + calls)) == Answer(text=almost, calls=[("add", "{}")])


@each_syntax
def test_calls_are_found_however_much_comes_at_once(syntax: CallSyntax) -> None:
    arguments = f'{{"a": "{"x" * 10_000}"}}'
    assert read(parser(syntax), [written(syntax, ("add", arguments))]).calls == [("add", arguments)]


@each_syntax
def test_a_long_name_is_found_beside_a_format(syntax: CallSyntax) -> None:
    start = CallStart(syntax, ("a" * 128, "b"), "format")
    assert read(AnswerParser(None, start), list(written(syntax, ("a" * 128, "{}")))).calls == [("a" * 128, "{}")]


@pytest.mark.parametrize("text", ['{"name": "Bob"}', '{"name": "add"}', '{"name": "adds", "parameters": {}}', '{"nam'])
def test_beside_a_format_it_takes_the_name_of_a_tool_to_make_a_call(text: str) -> None:
    made = AnswerParser(None, CallStart(LLAMA, ("add",), "format"))
    assert read(made, list(text)) == Answer(text=text)
    assert not made.is_calling


@pytest.mark.parametrize("beside", ["format", "nothing"])
def test_where_calls_come_first_no_text_behind_begins_any(beside: Literal["format", "nothing"]) -> None:
    text = f'["{written(MISTRAL_ARGS, ("add", "{}"))}"]'
    assert read(AnswerParser(None, CallStart(MISTRAL_ARGS, ("add",), beside)), [text]) == Answer(text=text)


def test_an_answer_that_must_call_is_calling_from_its_beginning() -> None:
    made = AnswerParser(THINK, CallStart(HERMES, ("add",), "nothing"), reasons=True)
    assert not made.is_calling
    made.push("hm</think>")
    assert made.is_calling
    made.push("<tool_")
    assert made.is_calling
    assert not made.has_calls


@pytest.mark.parametrize("before", ["", "\n", "I add. ", "<think>hm</think>"])
def test_calls_have_begun_with_their_trigger(before: str) -> None:
    made = parser(HERMES)
    made.push(before + "<tool_call")
    assert not made.is_calling
    made.push(">")
    assert made.is_calling
    assert made.flush().text.strip() == "<tool_call>"
    assert made.is_calling


@each_syntax
def test_calls_have_begun_with_their_head_and_are_there_when_they_are_complete(syntax: CallSyntax) -> None:
    made = parser(syntax)
    text = written(syntax, ("add", "{}"))
    made.push(text[: len(syntax.trigger) - 1])
    assert not made.is_calling
    made.push(text[len(syntax.trigger) - 1 : len(syntax.head)])
    assert (made.is_calling, made.has_calls) == (True, False)
    made.push(text[len(syntax.head) :])
    assert (made.is_calling, made.has_calls) == (True, True)


@each_syntax
@settings(max_examples=30, derandomize=True, deadline=None)
@given(data=st.data())
def test_a_call_that_breaks_off_has_what_came_of_it(syntax: CallSyntax, data: st.DataObject) -> None:
    text = written(syntax, ("add", '{"n": 1}'))
    end = data.draw(st.integers(0, len(text)))
    answer = read(parser(syntax), [text[:end]])
    if end < len(syntax.head):
        assert answer == Answer(text=text[:end])
    else:
        assert answer.text == ""
        assert [(name, '{"n": 1}'.startswith(arguments)) for name, arguments in answer.calls] in ([], [("add", True)])


@each_syntax
def test_the_text_that_has_begun_already_is_not_told_again(syntax: CallSyntax) -> None:
    for begun in ("Bec", "  ", " <", syntax.head[:3], "<think", "x" + syntax.head[:5]):
        answer = read(AnswerParser(None, free(syntax), begun=begun), ["ause"])
        assert answer == Answer(text="ause")


@each_syntax
@settings(max_examples=30, derandomize=True, deadline=None)
@given(data=st.data())
def test_calls_are_found_wherever_the_text_that_has_begun_ends(syntax: CallSyntax, data: st.DataObject) -> None:
    said = "Well. " if syntax.anywhere else ""
    text = said + written(syntax, ("add", '{"n": 1}'))
    place = data.draw(st.integers(0, len(text)))
    made = AnswerParser(None, free(syntax), begun=text[:place])
    assert read(made, [text[place:]]) == Answer(text=said[place:], calls=[("add", '{"n": 1}')])
    assert made.has_calls
