"""The grammar of an answer: reasoning, then text or tool calls.

Text is free until the head of a tool call has come; from there on all is given, up to the arguments, which follow the
tool's schema.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_llama.api import Tool
from mcp_llama.chat.marks import LOOSE_SPACE, SPACE, CallSyntax, ReasoningMarks, json_tokens, literal_pattern
from mcp_llama.engine.grammar import Grammar, Part, schema_part
from mcp_llama.errors import ConstraintError

_MAX_CALLS = 32
"""Tool calls in one answer: a small model may go on for ever."""
_NO_PARAMETERS: dict[str, object] = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRules:
    """What an answer may be. `reasons`: the prompt has opened the reasoning; `may_reason`: the answer may do so."""

    syntax: CallSyntax | None = None
    tools: Sequence[Tool] = ()
    must_call: bool = False
    parallel: bool = True
    content: Part | None = None
    marks: ReasoningMarks | None = None
    reasons: bool = False
    may_reason: bool = False

    @property
    def is_free(self) -> bool:
        """Whether the answer may be any text."""
        return self.content is None and not self.must_call


def turn_grammar(rules: TurnRules) -> Grammar | None:
    """The grammar, None if the answer is free.

    Raises:
        ConstraintError: a tool's schema cannot be enforced.
    """
    if rules.content is None and not rules.tools:
        return None
    parts = {} if rules.content is None else {"content": rules.content}
    parts |= {f"arguments{index}": _arguments(tool) for index, tool in enumerate(rules.tools)}
    lines = [f"start: {_reasoning(rules)}body", *_reasoning_rules(rules), *_body_rules(rules)]
    return Grammar("\n".join(lines) + "\n", parts)


def _arguments(tool: Tool) -> Part:
    subject = f"The schema of tool {tool.name!r}"
    kind = tool.parameters.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        raise ConstraintError(subject, "arguments are an object, but the type is another", "", "type")
    # What a schema says of properties alone is true of a number, too.
    schema = {**tool.parameters, "type": "object"} if tool.parameters else _NO_PARAMETERS
    return schema_part(schema, subject, lenient=not tool.strict)


def _reasoning(rules: TurnRules) -> str:
    if rules.marks is None or not (rules.reasons or rules.may_reason):
        return ""
    return "reasoning GAP " if rules.reasons else "(OPEN reasoning GAP)? "


def _reasoning_rules(rules: TurnRules) -> list[str]:
    if not _reasoning(rules) or rules.marks is None:
        return []
    lines = [f"reasoning[lazy]: /(?s:.*){_pattern(rules.marks.end)}/", f"GAP: /{LOOSE_SPACE}/"]
    # Where nothing but the mark can follow, a model could go on with white space for ever.
    space = SPACE if rules.is_free else LOOSE_SPACE
    return lines if rules.reasons else [*lines, f"OPEN: /{space}{_pattern(rules.marks.start)}/"]


def _body_rules(rules: TurnRules) -> list[str]:
    text = "@content" if rules.content is not None else "TEXT"
    if rules.syntax is None or not rules.tools:
        return [f"body: {text}"]
    free = rules.is_free
    # Beside other JSON, the quote that opens a name must be part of the name's terminal, or a string would swallow it.
    quote = '"' if rules.syntax.head.endswith('"') and not free else ""
    head = "free_head" if free else _terminals(rules.syntax.head.removesuffix(quote))
    lines = [f"body: {'' if rules.must_call else f'{text} | '}{head} calls", *_call_rules(rules, rules.syntax, quote)]
    if free:
        lines += _free_rules(rules, rules.syntax)
    return lines


def _call_rules(rules: TurnRules, syntax: CallSyntax, quote: str) -> list[str]:
    calls = [
        f"{_literal(quote + tool.name + syntax.middle)} @arguments{index} {_literal(syntax.tail)}"
        for index, tool in enumerate(rules.tools)
    ]
    separator = syntax.separator.removesuffix(quote)
    more = f" ({_literal(separator)} call){{0,{_MAX_CALLS - 1}}}" if rules.parallel and separator else ""
    return [f"calls: call{more} {_literal(syntax.end)}", f"call: {' | '.join(calls)}"]


def _free_rules(rules: TurnRules, syntax: CallSyntax) -> list[str]:
    """Text, and the head of calls as the model may come to it by itself."""
    other = ""
    if rules.may_reason and not rules.reasons and rules.marks is not None:
        other = f" & ~/{SPACE}{_pattern(rules.marks.start)}(?s:.*)/"
    trigger = f"(?s:.*){_pattern(syntax.trigger)}" if syntax.anywhere else syntax.loose_head.replace("/", r"\/")
    rest = _literal(syntax.head.removeprefix(syntax.trigger)) if syntax.anywhere else ""
    return [
        f"TEXT: /(?s:.*)/{other}",
        f"free_head: trigger {rest}",
        "trigger[lazy]: TRIGGER",
        f"TRIGGER: /{trigger}/{other if syntax.anywhere else ''}",
    ]


def _pattern(literal: str) -> str:
    return literal_pattern(literal).replace("/", r"\/")


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if text else ""


def _terminals(head: str) -> str:
    """The head, in the terminals of JSON if it is JSON, so that other JSON may be an alternative to it."""
    if not head.startswith("{"):
        return _literal(head)
    return " ".join(_literal(": " if token == ":" else token) for token in json_tokens(head))
