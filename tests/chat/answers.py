"""Answers of models as text, in random pieces, and what a parser makes of them."""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mcp_llama.chat.call_start import CallStart
from mcp_llama.chat.delta import Parts, ToolCallDelta
from mcp_llama.chat.marks import GENERIC, HERMES, LLAMA, MISTRAL_ARGS, MISTRAL_LIST, CallSyntax, ReasoningMarks
from mcp_llama.chat.parser import AnswerParser

THINK = ReasoningMarks("<think>", "</think>")
SYNTAXES = {
    "hermes": HERMES,
    "mistral-list": MISTRAL_LIST,
    "mistral-args": MISTRAL_ARGS,
    "llama": LLAMA,
    "generic": GENERIC,
}
each_syntax = pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
_ID = re.compile(r"[a-zA-Z0-9]{9}")

_SPACES = (" ", "\n", "\t", "\r\n", " " * 5, "\n" * 9, "\u00a0", "\u2003", "\x0b", "\x1f")
_WORDS = ("x", "é", "</thin", "<thinking>", '"', "{", "}", "[", "]", ":", ",", "\\", "add", "sub", "1", '{"n": 1}')


def free(syntax: CallSyntax) -> CallStart:
    """Calls beside free text."""
    return CallStart(syntax, ("add", "sub"))


def parser(syntax: CallSyntax | None = None, marks: ReasoningMarks | None = THINK) -> AnswerParser:
    """A parser of free text, with calls if there is a syntax."""
    return AnswerParser(marks, None if syntax is None else free(syntax))


def written(syntax: CallSyntax, *calls: tuple[str, str]) -> str:
    """Calls, each a name and its arguments, in the model's syntax."""
    texts = [f"{name}{syntax.middle}{arguments}{syntax.tail}" for name, arguments in calls]
    return syntax.head + syntax.separator.join(texts) + syntax.end


@dataclass
class Answer:
    """An answer taken apart; each call is a name and its arguments."""

    reasoning: str = ""
    text: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    ids: list[str] = field(default_factory=list[str], compare=False)

    def add(self, parts: Parts) -> None:
        """Take in what is new; checks that it comes in order and form."""
        assert not (parts.reasoning and self.text), "reasoning comes before the text"
        assert not (parts.text and self.calls), "text comes before the calls"
        self.reasoning += parts.reasoning
        self.text += parts.text
        for piece in parts.tool_calls:
            self._add_piece(piece)

    def _add_piece(self, piece: ToolCallDelta) -> None:
        if piece.index == len(self.calls):
            assert piece.name is not None
            assert piece.id is not None
            assert _ID.fullmatch(piece.id)
            assert piece.arguments == ""
            self.calls.append((piece.name, ""))
            self.ids.append(piece.id)
            return
        assert piece.index == len(self.calls) - 1, "only the last call grows"
        assert (piece.id, piece.name) == (None, None)
        assert piece.arguments, "a piece says something"
        name, arguments = self.calls[-1]
        self.calls[-1] = (name, arguments + piece.arguments)


def read(parser: AnswerParser, pieces: Iterable[str]) -> Answer:
    """The answer out of its pieces and the end."""
    answer = Answer()
    for piece in pieces:
        answer.add(parser.push(piece))
    answer.add(parser.flush())
    return answer


def cut(text: str, chance: random.Random) -> list[str]:
    """The text in pieces, some of them empty."""
    places = sorted(chance.randint(0, len(text)) for _ in range(chance.choice([0, 1, 3, 8])))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


def fragments(syntax: CallSyntax, marks: ReasoningMarks = THINK) -> Sequence[str]:
    """Texts that marks and heads are made of, whole and in parts."""
    heads = (syntax.head, syntax.trigger, syntax.lead, syntax.middle, syntax.tail, syntax.separator, syntax.end)
    loose = syntax.head.replace('"', ' "').replace("{", "{\n")
    halves = [head[: len(head) // 2] for head in heads] + [head[len(head) // 2 :] for head in heads]
    calls = (written(syntax, ("add", '{"n": 1}')), written(syntax, ("add", "{}"), ("sub", '{"a": "}"}')))
    found = (*heads, loose, *halves, *calls, marks.start, marks.end, *_SPACES, *_WORDS)
    return sorted({text for text in found if text})


def answer_texts(syntax: CallSyntax, marks: ReasoningMarks = THINK) -> SearchStrategy[str]:
    """Random texts out of fragments, many of which begin with white space, reasoning, or a call."""
    spaces = st.sampled_from(("", *_SPACES))
    reasoning = st.sampled_from(("", "", marks.start + "x" + marks.end, "x" + marks.end))
    calls = st.sampled_from(("", syntax.lead + syntax.head, written(syntax, ("add", "{}"))))
    rest = st.lists(st.sampled_from(fragments(syntax, marks)), max_size=8).map("".join)
    return st.tuples(spaces, reasoning, spaces, calls, rest).map("".join) | rest
