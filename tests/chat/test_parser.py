import random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_llama.chat.call_start import CallStart
from mcp_llama.chat.marks import HERMES, CallSyntax, ReasoningMarks
from mcp_llama.chat.parser import AnswerParser
from tests.chat.answers import (
    THINK,
    Answer,
    answer_texts,
    cut,
    each_syntax,
    fragments,
    free,
    parser,
    read,
    written,
)
from tests.chat.work import lines_run

LONGEST_MARK = 64
"""No mark, head or name of these tests is longer; a parser need not hold more text than that back."""
CHANNELS = ReasoningMarks("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>")

each_marks = pytest.mark.parametrize("marks", [THINK, CHANNELS, None], ids=["think", "channels", "none"])


def split_reasoning(text: str, *, reasons: bool = False) -> tuple[str, str]:
    answer = read(AnswerParser(THINK, None, reasons=reasons), [text])
    return answer.reasoning, answer.text


@each_marks
@pytest.mark.parametrize("beside", ["text", "format", "nothing"])
@each_syntax
@settings(max_examples=20, derandomize=True, deadline=None)
@given(data=st.data(), reasons=st.booleans(), verbatim=st.booleans(), seed=st.integers(0, 2**32))
def test_any_split_of_an_answer_gives_the_parts_of_the_whole(
    syntax: CallSyntax,
    beside: Literal["text", "format", "nothing"],
    marks: ReasoningMarks | None,
    data: st.DataObject,
    reasons: bool,
    verbatim: bool,
    seed: int,
) -> None:
    text = data.draw(answer_texts(syntax, marks or THINK))
    begun = data.draw(st.sampled_from(["", *(found for found in fragments(syntax) if found.strip())]))
    outcomes: list[tuple[Answer, bool, bool, bool]] = []
    for pieces in ([text], list(text), cut(text, random.Random(seed))):
        start = CallStart(syntax, ("add", "sub"), beside)
        made = AnswerParser(marks, start, reasons=reasons and not begun, begun=begun, verbatim=verbatim)
        outcomes.append((read(made, pieces), made.reasons, made.is_calling, made.has_calls))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@each_marks
@each_syntax
@settings(max_examples=30, derandomize=True, deadline=None)
@given(data=st.data(), reasons=st.booleans(), seed=st.integers(0, 2**32))
def test_nothing_is_lost_of_an_answer_without_calls(
    syntax: CallSyntax, marks: ReasoningMarks | None, data: st.DataObject, reasons: bool, seed: int
) -> None:
    text = data.draw(answer_texts(syntax, marks or THINK))
    pieces = cut(text, random.Random(seed))
    whole = read(AnswerParser(marks, None, reasons=reasons, verbatim=True), pieces)
    assert whole.reasoning + whole.text == text
    made = AnswerParser(marks, free(syntax), reasons=reasons)
    answer = read(made, pieces)
    if not made.is_calling:
        assert not answer.calls
        assert answer.text == whole.text
        assert answer.reasoning in whole.reasoning


@pytest.mark.parametrize(
    ("text", "reasoning", "said"),
    [
        ("<think>hm</think>yes", "hm", "yes"),
        (" \n<think>hm</think> \r\n\t yes ", "hm", "yes "),
        ("<think></think>yes", "", "yes"),
        ("<think>hm", "hm", ""),
        ("<think>hm</thi", "hm</thi", ""),
        ("<think>a</think>b</think>c", "a", "b</think>c"),
        ("<think>a<think>b</think>c", "a<think>b", "c"),
        ("<think>a</think><think>b</think>", "a", "<think>b</think>"),
        ("<thin", "", "<thin"),
        ("<thinking>hm</think>", "", "<thinking>hm</think>"),
        ("yes <think>hm</think>", "", "yes <think>hm</think>"),
        ("\u00a0<think>hm</think>", "", "\u00a0<think>hm</think>"),
        ("  yes", "", "  yes"),
        (" \n", "", " \n"),
        ("<think>hm</think> \n", "hm", ""),
        ("", "", ""),
    ],
)
def test_reasoning_is_what_stands_between_its_marks_at_the_beginning(text: str, reasoning: str, said: str) -> None:
    assert split_reasoning(text) == (reasoning, said)


@pytest.mark.parametrize(
    ("text", "reasoning", "said"),
    [
        ("hm</think>\n\nyes", "hm", "yes"),
        ("</think>yes", "", "yes"),
        ("hm", "hm", ""),
        ("<think>hm</think>yes", "<think>hm", "yes"),
        ("hm</think><think>b</think>", "hm", "<think>b</think>"),
    ],
)
def test_reasoning_that_the_prompt_has_opened_goes_on_to_its_end(text: str, reasoning: str, said: str) -> None:
    assert split_reasoning(text, reasons=True) == (reasoning, said)


def test_the_parser_knows_whether_the_reasoning_goes_on() -> None:
    made = AnswerParser(THINK, None, reasons=True)
    assert made.reasons
    made.push("hm</think")
    assert made.reasons
    made.push(">")
    assert not made.reasons
    assert not parser().reasons


def test_a_verbatim_parser_leaves_marks_and_space_with_the_reasoning() -> None:
    made = AnswerParser(THINK, free(HERMES), verbatim=True)
    calls = written(HERMES, ("add", "{}"))
    answer = read(made, [f" <think>about {calls}</think>\n\nyes\n{calls}"])
    assert answer == Answer(f" <think>about {calls}</think>\n\n", "yes\n", [("add", "{}")])


def test_what_cannot_be_part_of_a_mark_is_told_at_once() -> None:
    made = parser(HERMES)
    assert made.push("Hello <").text == "Hello "
    assert made.push("b> <tool_").text == "<b> "
    assert made.push("box>").text == "<tool_box>"
    reasoning = AnswerParser(THINK, None, reasons=True)
    assert reasoning.push("so <").reasoning == "so "
    assert reasoning.push("/thing").reasoning == "</thing"


def test_without_marks_and_calls_all_text_is_told_at_once() -> None:
    made = AnswerParser(None, None)
    assert [made.push(text).text for text in (" ", "\n", "<think>", "<tool_call>")] == [
        " ", "\n", "<think>", "<tool_call>",
    ]  # fmt: skip


def test_an_answer_that_has_begun_does_not_begin_to_reason() -> None:
    assert read(AnswerParser(THINK, None, begun="So"), ["<think>hm</think>"]) == Answer(text="<think>hm</think>")
    assert read(AnswerParser(THINK, None, begun=" "), ["<think>hm</think>"]) == Answer(text="<think>hm</think>")


@each_marks
@each_syntax
@settings(max_examples=30, derandomize=True, deadline=None)
@given(data=st.data(), reasons=st.booleans())
def test_only_what_may_be_a_mark_is_held_back(
    syntax: CallSyntax, marks: ReasoningMarks | None, data: st.DataObject, reasons: bool
) -> None:
    made, told, text = AnswerParser(marks, free(syntax), reasons=reasons, verbatim=True), 0, ""
    for char in data.draw(answer_texts(syntax, marks or THINK)):
        parts = made.push(char)
        told += len(parts.text) + len(parts.reasoning)
        text += char
        if made.has_calls or made.is_calling or not text.strip():
            return
        assert len(text.lstrip()) - told <= LONGEST_MARK


@pytest.mark.parametrize("char", ["x", " ", "<", "{"])
@pytest.mark.parametrize("reasons", [True, False])
@each_syntax
def test_work_grows_with_the_length_of_an_answer(syntax: CallSyntax, reasons: bool, char: str) -> None:
    def lines(length: int) -> int:
        made = AnswerParser(THINK, free(syntax), reasons=reasons)
        return lines_run(lambda: [made.push(char) for _ in range(length)])

    assert lines(600) < 2.3 * lines(300)
