"""Grammars in llguidance's notation, from what a caller asks a text to be."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llguidance import LLMatcher
from llguidance.gbnf_to_lark import gbnf_to_lark

from mcp_llama.api import OutputFormat
from mcp_llama.engine.constraint import Constraint, Constraints
from mcp_llama.engine.json_schema import prepare
from mcp_llama.engine.json_schema_fault import explain
from mcp_llama.engine.pattern import fault_of_pattern
from mcp_llama.errors import ConstraintError

MAX_GRAMMAR = 64_000
"""Characters of a regular expression or grammar."""
MAX_NESTING = 5_000
"""The rules of a grammar and how deep the brackets of each nest, together. llguidance recurses through them; it takes
some 20 MB of stack for as many."""
MAX_GBNF_RULES = 1_000
"""The time of their conversion grows with the square of their number."""

_MAX_REASON = 300
_LITERAL = re.compile(r'//.*|"(?:\\.|[^"\\\n])*"|/(?:\\.|[^/\\\n])+/')
_RULE = re.compile(r"^[ \t]*[?!]?[A-Za-z_]\w*(?:[.{\[][^:\n]*)?[ \t]*:", re.MULTILINE)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A grammar that others may refer to by a name. `subject` is what its caller calls it."""

    subject: str
    body: Json
    schema: Any = None
    relaxed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grammar:
    """A Lark text that refers to `parts` as @name."""

    lark: str
    parts: Mapping[str, Part]

    @property
    def relaxed(self) -> tuple[str, ...]:
        """What of the parts is not enforced, a sentence each."""
        return tuple(note for part in self.parts.values() for note in part.relaxed)

    def compile(self, constraints: Constraints) -> Constraint:
        """The constraint at its beginning. May take long.

        Raises:
            ConstraintError: names the part that is at fault, and for a schema the place in it.
        """
        bodies = [{"lark_grammar": self.lark}, *({"name": name, **part.body} for name, part in self.parts.items())]
        try:
            return constraints.compile(json.dumps({"grammars": bodies}))
        except ValueError as error:
            for part in self.parts.values():
                _check(part, constraints)
            raise ConstraintError("The combination of tools and format", str(error).partition("\n")[0]) from error


_SUBJECTS = {
    "json_schema": "The JSON schema",
    "json_object": "The format json_object",
    "regex": "The regular expression",
    "gbnf": "The grammar",
    "lark": "The grammar",
}


def format_part(form: OutputFormat) -> Part:
    """The grammar of an output format.

    Raises:
        ConstraintError: it is not of its kind.
    """
    subject = _SUBJECTS[form.kind]
    match form.kind:
        case "json_schema":
            return schema_part(form.definition, subject)
        case "json_object":
            return schema_part({"type": "object"}, subject)
        case "regex":
            pattern = _text(form, subject)
            if (fault := fault_of_pattern(pattern)) is not None:
                raise ConstraintError(subject, fault)
            lark = json.loads(LLMatcher.grammar_from_regex(pattern))["grammars"][0]["lark_grammar"]
            return Part(subject, {"lark_grammar": lark})
        case "gbnf":
            return Part(subject, {"lark_grammar": _checked(_from_gbnf(_text(form, subject), subject), subject)})
        case "lark":
            return Part(subject, {"lark_grammar": _checked(_text(form, subject), subject)})


def schema_part(schema: object, subject: str, *, lenient: bool = False) -> Part:
    """The grammar of a JSON schema; `lenient` leaves out what cannot be enforced, and tells.

    Raises:
        ConstraintError: the schema is not one, or cannot be enforced.
    """
    prepared = prepare(schema, subject, lenient=lenient)
    return Part(subject, {"json_schema": prepared.schema}, prepared.schema, prepared.relaxed)


def whole_text(part: Part) -> Grammar:
    """The grammar of a text that is nothing but the part."""
    return Grammar("start: @text", {"text": part})


def _check(part: Part, constraints: Constraints) -> None:
    message = constraints.failure_of(json.dumps({"grammars": [part.body]}))
    if message is None:
        return
    if part.schema is None:
        raise ConstraintError(part.subject, _reason(message))

    def failure_of(schema: Any) -> str | None:
        return constraints.failure_of(json.dumps({"grammars": [{"json_schema": schema}]}))

    raise explain(part.schema, part.subject, failure_of, message)


def _text(form: OutputFormat, subject: str) -> str:
    if not isinstance(form.definition, str) or not form.definition:
        raise ConstraintError(subject, "it must be a text that is not empty.")
    if len(form.definition) > MAX_GRAMMAR:
        raise ConstraintError(subject, f"it has {len(form.definition):,} characters; at most {MAX_GRAMMAR:,} may be.")
    if any("\ud800" <= character <= "\udfff" for character in form.definition):
        raise ConstraintError(subject, "it holds half of a surrogate pair, which is no character.")
    return form.definition


def _checked(lark: str, subject: str) -> str:
    """`lark`, if llguidance can read it without an overflow of its stack."""
    nesting = 0
    for rule in _RULE.split(_LITERAL.sub("", lark)):
        depth = deepest = 0
        for bracket in re.findall(r"[()\[\]]", rule):
            depth += 1 if bracket in "([" else -1
            deepest = max(deepest, depth)
        nesting += 1 + deepest
    if nesting > MAX_NESTING:
        raise ConstraintError(subject, f"its rules and brackets nest {nesting:,} deep; at most {MAX_NESTING:,} may be.")
    return lark


def _reason(message: str) -> str:
    """llguidance's message as one line, which for a regular expression ends with what is wrong with it."""
    lines = [line.strip() for line in message.splitlines()]
    faults = [line for line in lines if line.startswith("error: ")]
    return " ".join([" ".join(lines if not faults else lines[:1])[:_MAX_REASON], *faults[:1]])


def _from_gbnf(text: str, subject: str) -> str:
    if len(_RULE.findall(text)) > MAX_GBNF_RULES:
        raise ConstraintError(subject, f"it has more than {MAX_GBNF_RULES:,} rules.")
    try:
        return gbnf_to_lark(text)
    except RecursionError:
        raise ConstraintError(subject, "it is nested too deeply.") from None
    except Exception as error:
        # The converter raises bare exceptions for whatever it does not understand.
        raise ConstraintError(subject, f"it is not valid GBNF: {error}") from error
