import random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_llama.chat.call_start import CallStart
from mcp_llama.chat.marks import GENERIC, HERMES, LLAMA, MISTRAL_ARGS, CallSyntax, ReasoningMarks
from mcp_llama.chat.parser import AnswerParser
from tests.chat.answers import SYNTAXES, THINK, Answer, answer_texts, cut, fragments, read, written
from tests.chat.work import lines_run

LONGEST_MARK = 64
"""No mark, head or name of these tests is longer; a parser need not hold more text than that back."""
CHANNELS = ReasoningMarks("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>")

each_syntax = pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
each_marks = pytest.mark.parametrize("marks", [THINK, CHANNELS, None], ids=["think", "channels", "none"])


def free(syntax: CallSyntax) -> CallStart:
    return CallStart(syntax, ("add", "sub"))


def parser(syntax: CallSyntax | None = None, marks: ReasoningMarks | None = THINK) -> AnswerParser:
    return AnswerParser(marks, None if syntax is None else free(syntax))


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


@each_syntax
def test_the_parts_of_a_whole_answer_come_apart(syntax: CallSyntax) -> None:
    calls = [("add", '{"n": 1}'), ("sub", '{"a": "}]"}')][: 2 if syntax.separator else 1]
    said = "I add.\n" if syntax.anywhere else ""
    text = f"\n<think>\nshould I?\n</think>\n\n{said}{written(syntax, *calls)}"
    for pieces in ([text], list(text)):
        made = parser(syntax)
        assert read(made, pieces) == Answer(reasoning="\nshould I?\n", text=said, calls=calls)
        assert made.has_calls


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
