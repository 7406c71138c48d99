import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from mcp_llama.chat.call_start import CallStart, prefix_length
from mcp_llama.chat.marks import (
    GENERIC,
    HERMES,
    LLAMA,
    MARKER_TOKENS,
    MISTRAL_ARGS,
    MISTRAL_LIST,
    CallSyntax,
    call_syntax,
    json_tokens,
    literal_pattern,
    reasoning_marks,
)
from tests.chat.answers import answer_texts, each_syntax
from tests.chat.walks import CONSTRAINTS, longest, may_end

LOOSE = pytest.mark.parametrize("syntax", [LLAMA, GENERIC], ids=["llama", "generic"])


@pytest.mark.parametrize(
    ("source", "start", "end"),
    [
        ("{% if '</think>' in content %}<think>", "<think>", "</think>"),
        ("content.split('</think>')", "<think>", "</think>"),
        ("[THINK]{{ reasoning }}[/THINK]", "[THINK]", "[/THINK]"),
        ("<seed:think>x</seed:think>", "<seed:think>", "</seed:think>"),
        ("<|START_THINKING|><|END_THINKING|>", "<|START_THINKING|>", "<|END_THINKING|>"),
        ("'<|channel>thought' + '<channel|>'", "<|channel>thought\n", "<channel|>"),
        ("<|channel|>analysis<|message|>x<|end|>", "<|channel|>analysis<|message|>", "<|end|><|start|>assistant"),
    ],
)
def test_reasoning_marks_are_those_that_the_template_names(source: str, start: str, end: str) -> None:
    marks = reasoning_marks(source)
    assert marks is not None
    assert marks.start == start
    assert marks.end.startswith(end)


@pytest.mark.parametrize("source", ["", "{{ messages }}", "I <think> so", "[THINK]", "<|channel|>analysis"])
def test_a_template_that_names_no_end_of_reasoning_knows_none(source: str) -> None:
    assert reasoning_marks(source) is None


@pytest.mark.parametrize(
    ("source", "syntax"),
    [
        ("<tool_call>\n{{ call }}\n</tool_call>", HERMES),
        ("[TOOL_CALLS][{{ call }}]", MISTRAL_LIST),
        ("[TOOL_CALLS]{{ name }}[ARGS]{{ arguments }}", MISTRAL_ARGS),
        ("<|python_tag|>", LLAMA),
        ('Environment: ipython ... {"name": ..., "parameters": {}}', LLAMA),
        ("{{ messages }}", None),
        ('"parameters": ', None),
        ("<tool_call><function=", None),
        ("<tool_call>{{ name }}<arg_key>", None),
        ("<tool_call> <|tool_call_begin|>", None),
        ("within <tool_call></tool_call> tags: <tool_calls>[{{ calls }}]</tool_calls>", None),
    ],
)
def test_the_syntax_of_calls_is_that_of_the_template(source: str, syntax: CallSyntax | None) -> None:
    assert call_syntax(source) is syntax


@each_syntax
def test_a_head_begins_with_its_trigger_and_ends_where_the_name_begins(syntax: CallSyntax) -> None:
    assert syntax.head.startswith(syntax.trigger)
    assert syntax.anywhere or syntax.head == syntax.trigger
    assert syntax.middle[0] not in "abcXYZ019_.:/-"


def test_marks_that_may_be_control_tokens_show_in_texts() -> None:
    assert {"<think>", "</think>", "<tool_call>", "[TOOL_CALLS]", "[ARGS]", "<|python_tag|>"} <= MARKER_TOKENS


def test_json_tokens_are_a_text_without_its_white_space() -> None:
    assert json_tokens('{"a b": [ {"c": "') == ["{", '"a b"', ":", "[", "{", '"c"', ":", '"']


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=8))
def test_the_pattern_of_a_text_matches_it_in_python_and_in_llguidance(text: str) -> None:
    pattern = literal_pattern(text)
    assert re.fullmatch(pattern, text)
    assert not re.fullmatch(pattern, text + "x")
    constraint = CONSTRAINTS.compile(LLMatcher.grammar_from_regex(pattern))
    assert longest(constraint, text) == text
    assert may_end(constraint)


def spaced(draw: st.DrawFn, syntax: CallSyntax) -> str:
    tokens = draw(st.sampled_from(syntax.loose_heads))
    space = st.sampled_from(["", "", " ", "\n", "\r\n\t ", "     ", "\u00a0", "\x0b"])
    return "".join(token + draw(space) for token in tokens)


@LOOSE
@settings(max_examples=300, derandomize=True, deadline=None)
@given(data=st.data())
def test_a_loose_head_is_the_same_to_the_parser_and_to_the_grammar(syntax: CallSyntax, data: st.DataObject) -> None:
    near = st.composite(lambda draw: spaced(draw, syntax))()
    text = data.draw(near | answer_texts(syntax)).lstrip(" \t\r\n")
    start = CallStart(syntax)
    found = re.match(syntax.loose_head, text)
    assert (start.length(text) or 0) == (found.end() if found else 0)


@each_syntax
@pytest.mark.parametrize("beside", ["text", "format", "nothing"])
@settings(max_examples=100, derandomize=True, deadline=None)
@given(data=st.data())
def test_what_a_text_begins_with_stays_decided_when_it_grows(
    syntax: CallSyntax, beside: str, data: st.DataObject
) -> None:
    kinds = {"text": CallStart(syntax), "nothing": CallStart(syntax, beside="nothing")}
    start = kinds.get(beside) or CallStart(syntax, ("add", "a"), "format")
    text = data.draw(answer_texts(syntax))
    lengths = [start.length(text[:end]) for end in range(len(text) + 1)]
    decided = [length for length in lengths if length is not None]
    assert lengths == [None] * (len(lengths) - len(decided)) + decided
    assert len(set(decided)) <= 1


@pytest.mark.parametrize(
    ("text", "length"), [("", None), ("a", None), ("ab", None), ("abc", 3), ("abcd", 3), ("b", 0), ("abd", 0)]
)
def test_a_prefix_is_there_or_not_or_not_known_yet(text: str, length: int | None) -> None:
    assert prefix_length(text, "abc") == length
