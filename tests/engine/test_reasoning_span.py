from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.engine.reasoning import ReasoningRule, ReasoningSpan

TAGS = ReasoningRule(start="<think>", end="</think>")
OPENED = ReasoningRule(start=None, end="</think>")


def counted(rule: ReasoningRule, *pieces: str | bytes) -> int:
    span = ReasoningSpan(rule)
    for piece in pieces:
        span.push(piece.encode() if isinstance(piece, str) else piece)
    return span.tokens


@pytest.mark.parametrize(
    ("pieces", "count"),
    [
        (["<think>", "a", "b", "</think>", "c"], 4),
        (["<think>a</think>"], 1),
        (["<think></think>", "c"], 1),
        (["<th", "ink", ">a<", "/thi", "nk>c", "d"], 5),
        ([" ", "\n\n", "<think>", "a", "</think>"], 5),
        (["<think>", "a", "<think>", "</think>", "b", "</think>"], 4),
        (["<think>", "a", "b"], 3),
        (["<think>", "</thin", "</think>", "c"], 3),
        (["<think>", "</think", "k>", "</think", ">", "c"], 5),
    ],
)
def test_tokens_count_from_the_first_to_the_one_that_completes_the_end(pieces: list[str], count: int) -> None:
    assert counted(TAGS, *pieces) == count


@pytest.mark.parametrize(
    "pieces",
    [
        ["a", "<think>", "b", "</think>"],
        ["<thi", "s>", "<think>"],
        [" ", "\n", " "],
        ["<think"],
        [" x<think>"],
        [""],
        [],
    ],
)
def test_an_answer_that_does_not_begin_with_reasoning_has_none(pieces: list[str]) -> None:
    assert counted(TAGS, *pieces) == 0


@pytest.mark.parametrize(("pieces", "count"), [(["a", "b</thi", "nk>", "c"], 3), (["</think>", "c"], 1), (["a"], 1)])
def test_reasoning_that_the_prompt_has_opened_counts_at_once(pieces: list[str], count: int) -> None:
    assert counted(OPENED, *pieces) == count


def test_an_answer_may_not_reason_twice() -> None:
    assert counted(TAGS, "<think>", "</think>", "<think>", "a", "</think>") == 2


@pytest.mark.parametrize("end", ["|", "||", "🙂"])
def test_a_mark_may_be_short_or_of_one_character(end: str) -> None:
    assert counted(ReasoningRule(start=None, end=end), "a", "b", *end, "c") == 2 + len(end)


def split(text: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(places)]


@given(
    st.text("ab<>/think \n\u00e9", max_size=20),
    st.text("ab<>/think \u00e9", max_size=10),
    st.sampled_from(["", " ", "\n\t "]),
    st.booleans(),
    st.lists(st.integers(0, 80)),
)
def test_wherever_tokens_are_split_reasoning_ends_with_the_token_that_holds_the_end_of_the_mark(
    thought: str, answer: str, space: str, opened: bool, cuts: list[int]
) -> None:
    rule = OPENED if opened else TAGS
    head = "" if opened else space + "<think>"
    before = f"{head}{thought}</think>"
    # A thought may hold the mark itself.
    before = before[: before.index("</think>", len(head)) + len("</think>")]
    pieces, count, length = split(f"{before}{answer}".encode(), cuts), 0, 0
    while length < len(before.encode()):
        length += len(pieces[count])
        count += 1
    assert counted(rule, *pieces) == count


@given(st.binary(max_size=40), st.lists(st.integers(0, 40)))
def test_a_span_is_open_whatever_the_split_until_the_mark_is_in(thought: bytes, cuts: list[int]) -> None:
    pieces = split(thought, cuts)
    expected = len(pieces) if b"</think>" not in thought else None
    assert expected is None or counted(OPENED, *pieces) == expected


def overdue_after(rule: ReasoningRule, *pieces: str) -> list[bool]:
    span = ReasoningSpan(rule)
    states: list[bool] = []
    for piece in pieces:
        span.push(piece.encode())
        states.append(span.is_overdue)
    return states


def test_a_span_is_overdue_from_the_last_token_of_its_budget_to_its_end() -> None:
    rule = ReasoningRule(start="<think>", end="</think>", budget=3)
    assert overdue_after(rule, "<think>", "a", "b", "c", "</think>", "d") == [False, False, True, True, False, False]


def test_a_span_that_ends_with_its_budget_is_not_overdue() -> None:
    rule = ReasoningRule(start="<think>", end="</think>", budget=3)
    assert overdue_after(rule, "<think>", "a", "</think>", "b") == [False] * 4


def test_a_span_that_never_began_is_not_overdue() -> None:
    assert overdue_after(ReasoningRule(start="<think>", end="</think>", budget=1), "a", "b", "c") == [False] * 3


def test_a_budget_of_nothing_is_overdue_with_the_first_token() -> None:
    assert overdue_after(ReasoningRule(start=None, end="</think>", budget=0), "a", "</think>") == [True, False]


def test_a_span_without_a_budget_is_never_overdue() -> None:
    assert overdue_after(OPENED, *"abcdefgh") == [False] * 8


def test_the_closing_tokens_are_given_once() -> None:
    span = ReasoningSpan(ReasoningRule(start=None, end="</r>", budget=1, closing=(7, 8)))
    span.push(b"a")
    assert (span.is_overdue, span.take_closing(), span.take_closing()) == (True, (7, 8), ())
