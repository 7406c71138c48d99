"""Grammars of answers, each with a parser for it."""

from typing import Literal

from mcp_llama.api import OutputFormat, Tool
from mcp_llama.chat.call_start import CallStart
from mcp_llama.chat.marks import CallSyntax
from mcp_llama.chat.parser import AnswerParser
from mcp_llama.chat.turn_grammar import TurnRules, turn_grammar
from mcp_llama.engine.grammar import Grammar, format_part
from tests.chat.answers import THINK

Choice = Literal["auto", "required", "sub"]
Reasoning = Literal["none", "open", "possible"]

ADD = Tool(name="add", parameters={"properties": {"n": {"type": "integer"}}, "additionalProperties": False})
SUB = Tool(name="sub")
PERSON = OutputFormat(
    "json_schema",
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    },
)


def made(
    syntax: CallSyntax,
    *tools: Tool,
    choice: Choice = "auto",
    parallel: bool = True,
    content: OutputFormat | None = None,
    reasoning: Reasoning = "none",
) -> tuple[Grammar, AnswerParser]:
    """The grammar of an answer, and a parser for it."""
    must_call = choice != "auto"
    called = [tool for tool in tools if choice in ("auto", "required", tool.name)]
    rules = TurnRules(
        syntax=syntax,
        tools=called,
        must_call=must_call,
        parallel=parallel,
        content=None if content is None else format_part(content),
        marks=THINK,
        reasons=reasoning == "open",
        may_reason=reasoning == "possible",
    )
    grammar = turn_grammar(rules)
    assert grammar is not None
    beside = "nothing" if must_call else "text" if content is None else "format"
    start = CallStart(syntax, tuple(tool.name for tool in called), beside)
    marks = None if reasoning == "none" else THINK
    return grammar, AnswerParser(marks, start, reasons=reasoning == "open")


def reasoned(reasoning: Reasoning, text: str = "hm") -> str:
    return {"none": "", "open": f"{text}</think>\n\n", "possible": f"<think>{text}</think>\n\n"}[reasoning]
