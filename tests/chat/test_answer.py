"""What a caller gets of an answer in the end: its parts, why it ended, its value, and notes on what it lacks."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_llama.api import FinishReason, OutputFormat, Result, Timings, Usage
from mcp_llama.chat.answer import AnswerReader, FormatReader
from mcp_llama.chat.call_start import CallStart
from mcp_llama.chat.delta import ChatDelta
from mcp_llama.chat.marks import HERMES, CallSyntax
from mcp_llama.chat.parser import AnswerParser
from mcp_llama.engine.types import Finish, TokenDelta
from tests.chat.answers import THINK, answer_texts, cut, each_syntax, written

OBJECT = OutputFormat("json_object")
CALLS = written(HERMES, ("add", '{"n": 1}'), ("sub", "{}"))


def reader(
    form: OutputFormat | None = None,
    *,
    syntax: CallSyntax | None = HERMES,
    notes: tuple[str, ...] = (),
    begun: str = "",
    reasons: bool = False,
    split: bool = True,
) -> AnswerReader:
    beside = "text" if form is None else "format"
    start = None if syntax is None else CallStart(syntax, ("add", "sub"), beside)
    marks = None if begun else THINK
    parser = AnswerParser(marks, start, reasons=reasons, begun=begun, verbatim=not split)
    return AnswerReader(parser, form, notes, begun, split=split)


def deltas(pieces: Sequence[str], reason: FinishReason, stop: str | None = None) -> list[TokenDelta]:
    found = [TokenDelta(piece, 10 + count, count) for count, piece in enumerate(pieces, 1)]
    return [*found[:-1], replace(found[-1], finish=Finish(reason, stop, 1.0))]


def outcome(
    made: FormatReader, *pieces: str, reason: FinishReason = "stop", stop: str | None = None
) -> tuple[Result, list[TokenDelta]]:
    """The result as a generation makes it, and the deltas that were read."""
    read = [made.read(delta) for delta in deltas(pieces, reason, stop)]
    finish = read[-1].finish
    assert finish is not None
    usage = Usage(prompt_tokens=10, cached_tokens=0, completion_tokens=len(pieces))
    timings = Timings(queue_s=0.0, ttft_s=None, total_s=1.0)
    text = "".join(delta.text for delta in read)
    result = Result(text=text, finish_reason=finish.reason, stop=finish.stop, seed=1, usage=usage, timings=timings)
    return made.complete(result), read


def notes_of(
    made: FormatReader, *pieces: str, reason: FinishReason = "stop", stop: str | None = None
) -> tuple[str, ...]:
    return outcome(made, *pieces, reason=reason, stop=stop)[0].notes


def without_ids(result: Result) -> Result:
    return replace(result, tool_calls=tuple(replace(call, id="") for call in result.tool_calls))


def test_an_answer_is_its_reasoning_its_text_and_its_calls() -> None:
    result, read = outcome(reader(), "<think>hm</think>\n\n", "I add. ", CALLS)
    assert (result.reasoning, result.text, result.notes) == ("hm", "I add. ", ())
    assert [(call.name, call.arguments) for call in result.tool_calls] == [("add", '{"n": 1}'), ("sub", "{}")]
    chat = [delta for delta in read if isinstance(delta, ChatDelta)]
    assert len(chat) == len(read)
    assert [piece.id for delta in chat for piece in delta.tool_calls if piece.id] == [
        call.id for call in result.tool_calls
    ]


@pytest.mark.parametrize("text", ["<thin", "I <tool_", "I <tool_call>\n{", " "])
def test_what_was_held_back_comes_with_the_end(text: str) -> None:
    result, read = outcome(reader(), *text)
    assert result.text == text
    assert read[-1].text
    assert outcome(reader(), "<think>hm</thi")[0].reasoning == "hm</thi"


def test_a_delta_keeps_all_but_its_text() -> None:
    delta = TokenDelta("<think>a</think>b", 12, 3, 4, 0.5, 0.75, Finish("stop", None, 1.0), (), 2)
    expected = ChatDelta("b", 12, 3, 4, 0.5, 0.75, Finish("stop", None, 1.0), (), 2, reasoning="a")
    assert reader().read(delta) == expected


@each_syntax
@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    data=st.data(),
    form=st.sampled_from([None, OBJECT]),
    split=st.booleans(),
    reasons=st.booleans(),
    reason=st.sampled_from(["stop", "length", "time", "abort"]),
    seed=st.integers(0, 2**32),
)
def test_merged_deltas_give_the_same_result(
    syntax: CallSyntax,
    data: st.DataObject,
    form: OutputFormat | None,
    split: bool,
    reasons: bool,
    reason: FinishReason,
    seed: int,
) -> None:
    text = data.draw(answer_texts(syntax))
    results: list[Result] = []
    for pieces in ([text], list(text) or [""], cut(text, random.Random(seed))):
        result, _ = outcome(reader(form, syntax=syntax, split=split, reasons=reasons), *pieces, reason=reason)
        results.append(replace(without_ids(result), usage=None))  # pyright: ignore[reportArgumentType]
    assert results[0] == results[1] == results[2]


@each_syntax
def test_the_reason_of_an_end_becomes_tool_calls_where_they_are_complete(syntax: CallSyntax) -> None:
    text = written(syntax, ("add", '{"n": 1}'))
    result, read = outcome(reader(syntax=syntax), *text)
    assert result.finish_reason == "tool_calls"
    assert read[-1].finish == Finish("tool_calls", None, 1.0)
    assert [delta.finish for delta in read[:-1]] == [None] * (len(text) - 1)


@pytest.mark.parametrize("reason", ["length", "time", "abort"])
def test_an_answer_that_was_cut_off_keeps_its_reason(reason: FinishReason) -> None:
    assert outcome(reader(), CALLS, reason=reason)[0].finish_reason == reason


@pytest.mark.parametrize(
    "text",
    ["Hello", "", "<think>hm", CALLS[:40], CALLS[: CALLS.index("sub") + 1], CALLS.removesuffix("}}\n</tool_call>")],
)
def test_an_end_without_complete_calls_stays_a_stop(text: str) -> None:
    assert outcome(reader(), text)[0].finish_reason == "stop"


def test_a_stop_string_behind_the_arguments_leaves_the_call_complete() -> None:
    text = written(HERMES, ("add", "{}")).removesuffix("</tool_call>")
    result, _ = outcome(reader(), text, stop="</tool_call>")
    assert (result.finish_reason, result.stop, result.notes) == ("tool_calls", "</tool_call>", ())


@pytest.mark.parametrize(
    ("reason", "stop", "end"),
    [
        ("length", None, "max_tokens"),
        ("time", None, "max_time_s"),
        ("abort", None, "an abort"),
        ("stop", "1", "the stop string '1'"),
    ],
)
def test_what_ended_an_incomplete_answer_is_told(reason: FinishReason, stop: str | None, end: str) -> None:
    def notes(made: FormatReader, text: str) -> tuple[str, ...]:
        return notes_of(made, text, reason=reason, stop=stop)

    json_note = f"The JSON is incomplete: {end} ended it."
    assert notes(reader(OBJECT), '{"a": ') == (json_note,)
    assert notes(FormatReader(OBJECT), '{"a": ') == (json_note,)
    assert notes(reader(), CALLS[:-20]) == (f"The last tool call is incomplete: {end} ended it.",)
    (note,) = notes(reader(), "<think>hm")
    assert note.startswith(f"The answer is empty: {end} ended the reasoning.")
    assert note.endswith("Raise max_tokens, or set reasoning_budget.") == (stop is None)


@pytest.mark.parametrize("length", range(len(HERMES.head) - 1, len(CALLS)))
def test_calls_that_are_cut_off_are_told_as_such(length: int) -> None:
    result, _ = outcome(reader(), CALLS[:length], reason="length")
    assert len(result.notes) == 1
    complete = all(call.arguments.endswith("}") for call in result.tool_calls) and result.tool_calls
    assert complete or result.notes[0].startswith("The last tool call is incomplete")


def test_complete_calls_that_were_cut_off_may_lack_others() -> None:
    text = written(HERMES, ("add", "{}"))
    assert notes_of(reader(), text, reason="length") == (
        "There might have been more tool calls: max_tokens ended the answer.",
    )


def test_a_call_that_had_to_come_and_was_cut_off_in_its_head_is_told() -> None:
    parser = AnswerParser(None, CallStart(HERMES, ("add",), "nothing"))
    assert notes_of(AnswerReader(parser, OBJECT), "<tool_c", reason="length") == (
        "The last tool call is incomplete: max_tokens ended it.",
    )


def test_a_model_that_ends_in_its_reasoning_is_told() -> None:
    assert notes_of(reader(), "<think>hm") == ("The answer is empty: the model ended the reasoning.",)


def test_an_answer_behind_its_reasoning_needs_no_note() -> None:
    assert notes_of(reader(), "<think>hm</think>yes", reason="length") == ()
    assert notes_of(reader(), "<think>hm</think>", reason="length") == ()


@pytest.mark.parametrize("made", [FormatReader(OBJECT), reader(OBJECT)], ids=["generate", "chat"])
def test_json_is_parsed(made: FormatReader) -> None:
    result, _ = outcome(made, '{"a": [1, ', '"é"]}')
    assert (result.parsed, result.text, result.notes) == ({"a": [1, "é"]}, '{"a": [1, "é"]}', ())


@pytest.mark.parametrize("split", [True, False])
def test_json_behind_reasoning_is_parsed(split: bool) -> None:
    result, _ = outcome(reader(OBJECT, split=split), '<think>{"b"</think>\n\n', '{"a": 1}')
    assert result.parsed == {"a": 1}
    assert (result.reasoning, result.text) == (
        ('{"b"', '{"a": 1}') if split else ("", '<think>{"b"</think>\n\n{"a": 1}')
    )


@pytest.mark.parametrize("made", [FormatReader(OBJECT, begun='{"a": '), reader(OBJECT, begun='{"a": ')])
def test_json_is_parsed_with_what_had_begun(made: FormatReader) -> None:
    result, _ = outcome(made, "1}")
    assert (result.parsed, result.text) == ({"a": 1}, "1}")


@pytest.mark.parametrize("kind", ["regex", "gbnf", "lark"])
def test_text_of_another_format_is_not_parsed(kind: str) -> None:
    form = OutputFormat("regex" if kind == "regex" else "gbnf" if kind == "gbnf" else "lark", "1")
    assert outcome(FormatReader(form), "1")[0].parsed is None
    assert notes_of(reader(form), "[", reason="length") == ()


def test_calls_instead_of_json_need_no_note() -> None:
    result, _ = outcome(reader(OBJECT), CALLS)
    assert (result.parsed, result.notes, result.finish_reason) == (None, (), "tool_calls")


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, '{"a": ' + "9" * 5_000 + "}"])
@pytest.mark.parametrize("chat", [True, False])
def test_json_that_python_cannot_read_is_told_and_no_failure(text: str, chat: bool) -> None:
    (note,) = notes_of(reader(OBJECT) if chat else FormatReader(OBJECT), text)
    assert note.startswith("The JSON could not be read: ")
    assert len(note) < 200


def test_what_was_relaxed_is_told_first_and_always() -> None:
    relaxed = ("The schema of tool 'add': something.",)
    assert notes_of(reader(notes=relaxed), "yes") == relaxed
    assert notes_of(reader(notes=relaxed), CALLS) == relaxed
    for text in ("<think>", CALLS[:40]):
        assert notes_of(reader(notes=relaxed), text, reason="length")[0] == relaxed[0]
        assert len(notes_of(reader(notes=relaxed), text, reason="length")) == 2
    assert notes_of(FormatReader(OBJECT, relaxed), "{", reason="length")[0] == relaxed[0]
    assert notes_of(FormatReader(OBJECT, relaxed), "{}") == relaxed


def test_reasoning_that_is_not_split_stays_in_the_text_and_hides_no_calls() -> None:
    text = f"<think>about {CALLS}</think>\n\nyes "
    result, read = outcome(reader(split=False), *(text + CALLS))
    assert (result.text, result.reasoning) == (text, "")
    assert len(result.tool_calls) == 2
    assert result.finish_reason == "tool_calls"
    assert "".join(delta.text for delta in read) == text


def test_calls_that_had_begun_are_given_whole() -> None:
    result, _ = outcome(reader(begun=CALLS[:35]), CALLS[35:])
    assert [(call.name, call.arguments) for call in result.tool_calls] == [("add", '{"n": 1}'), ("sub", "{}")]
    assert result.text == ""
