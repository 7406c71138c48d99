import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_llama.chat.delta import Parts, ToolCallDelta
from mcp_llama.chat.marks import CallSyntax
from mcp_llama.chat.tool_calls import ToolCallParser, new_call_id
from tests.chat.answers import SYNTAXES, Answer, cut, each_syntax, written
from tests.chat.test_json_span import OBJECTS
from tests.chat.work import lines_run

several = pytest.mark.parametrize(
    "syntax", [syntax for syntax in SYNTAXES.values() if syntax.separator], ids=lambda syntax: syntax.trigger
)
NAMES = st.text("abcXYZ019_.:/-", min_size=1, max_size=8)


def behind_head(syntax: CallSyntax, *calls: tuple[str, str]) -> str:
    return written(syntax, *calls).removeprefix(syntax.head)


def parsed(parser: ToolCallParser, *pieces: str) -> list[tuple[str, str]]:
    answer = Answer()
    for piece in pieces:
        answer.add(Parts(tool_calls=parser.push(piece)))
    return answer.calls


@each_syntax
@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.tuples(NAMES, OBJECTS), min_size=1, max_size=3), st.integers(0, 2**32))
def test_any_split_gives_each_call_with_its_name_and_its_arguments_to_the_letter(
    syntax: CallSyntax, calls: list[tuple[str, dict[str, object]]], seed: int
) -> None:
    found = [(name, json.dumps(value, ensure_ascii=False)) for name, value in calls]
    if not syntax.separator:
        found = found[:1]
    text = behind_head(syntax, *found)
    for pieces in ([text], list(text), cut(text, random.Random(seed))):
        parser = ToolCallParser(syntax)
        assert parsed(parser, *pieces) == found
        assert parser.is_done
        assert (parser.count, parser.complete) == (len(found), len(found))


@each_syntax
def test_the_name_is_told_before_any_argument_has_come(syntax: CallSyntax) -> None:
    parser = ToolCallParser(syntax)
    (piece,) = parser.push("add" + syntax.middle)
    assert piece == ToolCallDelta(0, id=piece.id, name="add")
    assert parser.push('{"n"') == (ToolCallDelta(0, '{"n"'),)
    assert parser.push(": 1}" + syntax.tail) == (ToolCallDelta(0, ": 1}"),)
    assert parser.push(syntax.end) == ()


@each_syntax
def test_a_name_that_has_not_ended_is_no_call_yet(syntax: CallSyntax) -> None:
    parser = ToolCallParser(syntax)
    assert parser.push("ad") == parser.push("d") == ()
    assert (parser.count, parser.is_done) == (0, False)


@each_syntax
def test_a_call_is_done_with_the_brace_that_closes_its_arguments(syntax: CallSyntax) -> None:
    parser = ToolCallParser(syntax)
    done: list[bool] = []
    for char in "add" + syntax.middle + '{"a": "}"}':
        parser.push(char)
        done.append(parser.is_done)
    assert done == [False] * (len(done) - 1) + [True]


@several
def test_what_begins_another_call_undoes_that_all_are_done(syntax: CallSyntax) -> None:
    one = behind_head(syntax, ("add", "{}")).removesuffix(syntax.end)
    after = syntax.separator + "sub" + syntax.middle + "{"
    parser = ToolCallParser(syntax)
    parser.push(one)
    assert parser.is_done
    for char in after.lstrip():
        parser.push(char)
        assert not parser.is_done
    parser.push("}")
    assert parser.is_done


@each_syntax
def test_what_ends_all_calls_leaves_them_done(syntax: CallSyntax) -> None:
    parser = ToolCallParser(syntax)
    calls = parsed(parser, *behind_head(syntax, ("add", "{}")), "\n", " and more")
    assert calls == [("add", "{}")]
    assert parser.is_done


@several
def test_white_space_between_the_parts_does_not_count(syntax: CallSyntax) -> None:
    middle = syntax.middle.replace(" ", "\n\t ") + "\n "
    text = f"add{middle}{{ }}\n {syntax.tail}\n\n {syntax.separator}sub{middle}{{}}{syntax.tail} {syntax.end}"
    for pieces in ([text], list(text)):
        parser = ToolCallParser(syntax)
        assert parsed(parser, *pieces) == [("add", "{ }"), ("sub", "{}")]
        assert parser.is_done


def test_the_white_space_in_arguments_is_theirs() -> None:
    arguments = '{\n  "a" : [ 1 ]\n}'
    assert parsed(ToolCallParser(SYNTAXES["hermes"]), f'add", "arguments": {arguments}}}') == [("add", arguments)]


def test_ids_are_nine_letters_and_digits_and_no_two_are_the_same() -> None:
    ids = [new_call_id() for _ in range(1_000)]
    assert len(set(ids)) == len(ids)
    assert all(len(found) == 9 and found.isascii() and found.isalnum() for found in ids)


def test_calls_of_one_answer_have_ids_of_their_own() -> None:
    answer = Answer()
    parser = ToolCallParser(SYNTAXES["hermes"])
    answer.add(Parts(tool_calls=parser.push(behind_head(SYNTAXES["hermes"], *[("add", "{}")] * 20))))
    assert len(set(answer.ids)) == 20


def test_each_character_is_looked_at_once() -> None:
    def lines(length: int) -> int:
        parser = ToolCallParser(SYNTAXES["hermes"])
        text = behind_head(SYNTAXES["hermes"], ("add", '{"a": "' + "x" * length + '"}'))
        return lines_run(lambda: [parser.push(char) for char in text])

    assert lines(2_000) < 2.2 * lines(1_000)
