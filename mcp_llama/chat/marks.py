"""Marks: the literal texts with which models mark reasoning and tool calls."""

import re
from dataclasses import dataclass

SPACE = r"[ \t\r\n]*"
"""A regular expression for what may stand before reasoning and calls: what JSON takes for white space."""
LOOSE_SPACE = r"[ \t\r\n]{0,4}"


@dataclass(frozen=True, slots=True)
class ReasoningMarks:
    """What stands before and behind the reasoning in an answer."""

    start: str
    end: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSyntax:
    """How a model writes tool calls: head, name, middle, arguments, tail, for each further call a separator; the end.

    `head` begins with `trigger`, which decides that calls follow. `anywhere` tells whether that may come after text;
    if not, it is the whole head, with some space within it, and only at the beginning of an answer. `lead` is a token
    that the model may put before it.
    """

    trigger: str
    head: str
    middle: str
    tail: str
    separator: str
    end: str
    anywhere: bool
    parallel: bool
    lead: str = ""

    @property
    def loose_heads(self) -> tuple[tuple[str, ...], ...]:
        """The JSON tokens of the head, without and with the lead."""
        tokens = tuple(json_tokens(self.head))
        return (tokens, (self.lead, *tokens)) if self.lead else (tokens,)

    @property
    def loose_head(self) -> str:
        """A regular expression for the head as a model may write it of itself: with some white space in it."""
        heads = (LOOSE_SPACE.join(map(literal_pattern, tokens)) for tokens in self.loose_heads)
        return f"{SPACE}({'|'.join(heads)})"


HERMES = CallSyntax(
    trigger="<tool_call>",
    head='<tool_call>\n{"name": "',
    middle='", "arguments": ',
    tail="}\n</tool_call>",
    separator='\n<tool_call>\n{"name": "',
    end="",
    anywhere=True,
    parallel=True,
)
MISTRAL_LIST = CallSyntax(
    trigger="[TOOL_CALLS]",
    head='[TOOL_CALLS][{"name": "',
    middle='", "arguments": ',
    tail="}",
    separator=', {"name": "',
    end="]",
    anywhere=True,
    parallel=True,
)
MISTRAL_ARGS = CallSyntax(
    trigger="[TOOL_CALLS]",
    head="[TOOL_CALLS]",
    middle="[ARGS]",
    tail="",
    separator="[TOOL_CALLS]",
    end="",
    anywhere=True,
    parallel=True,
)
LLAMA = CallSyntax(
    trigger='{"name": "',
    head='{"name": "',
    middle='", "parameters": ',
    tail="}",
    separator="",
    end="",
    anywhere=False,
    parallel=False,
    lead="<|python_tag|>",
)
GENERIC = CallSyntax(
    trigger='{"tool_calls": [{"name": "',
    head='{"tool_calls": [{"name": "',
    middle='", "arguments": ',
    tail="}",
    separator=', {"name": "',
    end="]}",
    anywhere=False,
    parallel=False,
)

_REASONING = (
    ReasoningMarks("<think>", "</think>"),
    ReasoningMarks("[THINK]", "[/THINK]"),
    ReasoningMarks("<seed:think>", "</seed:think>"),
    ReasoningMarks("<|START_THINKING|>", "<|END_THINKING|>"),
    ReasoningMarks("<|inner_prefix|>", "<|inner_suffix|>"),
    ReasoningMarks("<|channel>thought\n", "<channel|>"),
    ReasoningMarks("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
)
_FOREIGN_CALLS = (
    *("<function=", "<arg_key>", "<parameter", "<invoke", "<tool_calls>"),
    *("<|tool_call_begin|>", "<|tool_call_start|>"),
)
"""Signs of templates whose calls are not one of ours, though they may hold `<tool_call>`."""

MARKER_TOKENS = frozenset(
    {
        *("<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "<|python_tag|>"),
        *("<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|channel>", "<channel|>"),
        *(mark for marks in _REASONING for mark in (marks.start, marks.end)),
    }
)
"""Control tokens that are part of an answer, and so must show in its text."""


def json_tokens(literal: str) -> list[str]:
    """The JSON tokens of a text that may break off in a string."""
    return re.findall(r'"[^"]+"|"|[{}\[\],:]', literal)


def literal_pattern(literal: str) -> str:
    """A regular expression, in the syntax of Python and of Rust, that matches just `literal`."""
    return re.escape(literal).replace("\\\n", "\\n")


def reasoning_marks(source: str) -> ReasoningMarks | None:
    """Those of a chat template, None if it knows no reasoning."""
    for marks in _REASONING:
        if marks.end.partition("<|start|>")[0] in source and marks.start.rstrip("\n") in source:
            return marks
    # Some templates only cut the reasoning out of earlier turns.
    return _REASONING[0] if _REASONING[0].end in source else None


def call_syntax(source: str) -> CallSyntax | None:
    """That of a chat template, None if it is not one of those that are read here."""
    if any(sign in source for sign in _FOREIGN_CALLS):
        return None
    if "[TOOL_CALLS]" in source:
        return MISTRAL_ARGS if "[ARGS]" in source else MISTRAL_LIST
    if "<tool_call>" in source:
        return HERMES
    if "<|python_tag|>" in source or ('"parameters": ' in source and "ipython" in source):
        return LLAMA
    return None
