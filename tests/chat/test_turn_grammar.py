"""What the grammar of an answer lets a model write, and what the parser makes of that."""

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_llama.chat.marks import CallSyntax, ReasoningMarks
from mcp_llama.chat.turn_grammar import TurnRules, turn_grammar
from tests.chat.answers import SYNTAXES, THINK, Answer, each_syntax, read, written
from tests.chat.grammars import ADD, PERSON, SUB, Reasoning, made, reasoned
from tests.chat.walks import accepts

each_reasoning = pytest.mark.parametrize("reasoning", ["none", "open", "possible"])


@each_reasoning
@each_syntax
@settings(max_examples=20, derandomize=True, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=20), end=st.sampled_from(["", "head", "words"]))
def test_text_without_a_trigger_is_free(syntax: CallSyntax, reasoning: Reasoning, text: str, end: str) -> None:
    grammar, parser = made(syntax, ADD, SUB, reasoning=reasoning)
    text = "." + text + {"": "", "head": syntax.trigger[:-1], "words": " I could <call a tool>: {"}[end]
    whole = reasoned(reasoning) + text
    assert accepts(grammar, whole)
    assert read(parser, [whole]).text == text


@each_reasoning
@each_syntax
def test_an_answer_may_be_empty_beside_calls(syntax: CallSyntax, reasoning: Reasoning) -> None:
    grammar, _ = made(syntax, ADD, reasoning=reasoning)
    assert accepts(grammar, reasoned(reasoning))


@each_syntax
def test_text_that_begins_like_a_head_is_free(syntax: CallSyntax) -> None:
    grammar, parser = made(syntax, ADD)
    text = syntax.trigger[: len(syntax.trigger) // 2] + " is how I would begin."
    assert accepts(grammar, text)
    assert read(parser, [text]).text == text


@each_syntax
def test_behind_the_head_only_the_tools_may_follow(syntax: CallSyntax) -> None:
    grammar, _ = made(syntax, ADD, SUB)
    assert accepts(grammar, written(syntax, ("add", '{"n": 1}')))
    assert accepts(grammar, written(syntax, ("sub", "{}")))
    assert not accepts(grammar, written(syntax, ("mul", "{}")))
    assert not accepts(grammar, written(syntax, ("add", '{"n": "1"}')))
    assert not accepts(grammar, written(syntax, ("add", '{"n": 1}')) + " And so on.")
    assert not accepts(grammar, syntax.head)


@each_syntax
def test_text_may_come_before_calls_where_the_syntax_has_a_trigger(syntax: CallSyntax) -> None:
    grammar, parser = made(syntax, ADD)
    calls = written(syntax, ("add", '{"n": 1}'))
    text = "Let me add.\n" + calls
    assert accepts(grammar, text)
    if syntax.anywhere:
        assert read(parser, [text]) == Answer(text="Let me add.\n", calls=[("add", '{"n": 1}')])
    else:
        assert read(parser, [text]) == Answer(text=text)


@each_reasoning
@each_syntax
def test_reasoning_may_tell_of_calls_without_making_any(syntax: CallSyntax, reasoning: Reasoning) -> None:
    if reasoning == "none":
        return
    grammar, parser = made(syntax, ADD, reasoning=reasoning)
    told = written(syntax, ("mul", "5")) + " would be wrong"
    text = reasoned(reasoning, told) + "No."
    assert accepts(grammar, text)
    assert read(parser, [text]) == Answer(reasoning=told, text="No.")


@pytest.mark.parametrize("choice", ["auto", "required", "add"])
@each_reasoning
@each_syntax
def test_calls_may_follow_reasoning(
    syntax: CallSyntax, reasoning: Reasoning, choice: Literal["auto", "required"]
) -> None:
    grammar, parser = made(syntax, ADD, choice=choice, reasoning=reasoning)
    text = reasoned(reasoning) + written(syntax, ("add", "{}"))
    assert accepts(grammar, text)
    assert read(parser, [text]) == Answer(reasoning="" if reasoning == "none" else "hm", calls=[("add", "{}")])


@each_syntax
def test_a_required_call_leaves_no_room_for_text(syntax: CallSyntax) -> None:
    for choice in ("required", "sub"):
        grammar, _ = made(syntax, ADD, SUB, choice=choice, content=PERSON)
        assert not accepts(grammar, "")
        assert not accepts(grammar, "text " + written(syntax, ("sub", "{}")))
        assert not accepts(grammar, '{"name": "Bob", "age": 3}')
        assert accepts(grammar, written(syntax, ("sub", "{}")))
        assert accepts(grammar, written(syntax, ("add", "{}"))) == (choice == "required")


@each_syntax
def test_several_calls_are_allowed_where_they_may_be_parallel(syntax: CallSyntax) -> None:
    two = written(syntax, ("add", "{}"), ("sub", "{}"))
    assert accepts(made(syntax, ADD, SUB)[0], two) == bool(syntax.separator)
    assert not accepts(made(syntax, ADD, SUB, parallel=False)[0], two)


def test_an_answer_holds_at_most_32_calls() -> None:
    grammar, parser = made(SYNTAXES["hermes"], ADD)
    text = written(SYNTAXES["hermes"], *[("add", "{}")] * 32)
    assert accepts(grammar, text)
    assert read(parser, [text]).calls == [("add", "{}")] * 32
    assert not accepts(grammar, written(SYNTAXES["hermes"], *[("add", "{}")] * 33))


@each_syntax
def test_a_call_behind_white_space_is_one(syntax: CallSyntax) -> None:
    for space in ("\n", "\t \r\n", "\n" * 40):
        grammar, parser = made(syntax, ADD)
        text = space + written(syntax, ("add", "{}"))
        assert accepts(grammar, text)
        assert not accepts(grammar, space + written(syntax, ("mul", "{}")))
        assert read(parser, [text]) == Answer(calls=[("add", "{}")])


def test_a_head_of_json_may_have_some_white_space_in_it() -> None:
    for syntax in (SYNTAXES["llama"], SYNTAXES["generic"]):
        grammar, parser = made(syntax, ADD)
        text = written(syntax, ("add", "{}"))
        spaced = text.replace('{"name": "', '{\n  "name" : "', 1)
        assert accepts(grammar, spaced)
        assert read(parser, list(spaced)).calls == [("add", "{}")]


def test_the_tag_of_llama_may_stand_before_the_head() -> None:
    for space in ("", " ", "\n\n"):
        grammar, parser = made(SYNTAXES["llama"], ADD)
        text = "<|python_tag|>" + space + written(SYNTAXES["llama"], ("add", "{}"))
        assert accepts(grammar, text)
        assert read(parser, [text]) == Answer(calls=[("add", "{}")])


def test_an_answer_without_tools_and_format_is_free() -> None:
    assert turn_grammar(TurnRules(marks=THINK, reasons=True)) is None
    assert turn_grammar(TurnRules(syntax=SYNTAXES["hermes"])) is None


@each_reasoning
def test_reasoning_needs_to_end(reasoning: Reasoning) -> None:
    grammar, _ = made(SYNTAXES["hermes"], ADD, reasoning=reasoning)
    assert accepts(grammar, "<think>hm") == (reasoning == "none")


def test_marks_with_all_kinds_of_characters_are_taken_literally() -> None:
    marks = ReasoningMarks("<|a.b*/[c]+(d)\\e^$-&#~ {2}\n|>", "<|/end.*|>")
    grammar = turn_grammar(TurnRules(syntax=SYNTAXES["hermes"], tools=[ADD], marks=marks, may_reason=True))
    assert grammar is not None
    text = f"{marks.start}<tool_call>{marks.end}done"
    assert accepts(grammar, text)
    assert not accepts(grammar, f"{marks.start}{marks.end[:-1]}")
