"""Grammars in llguidance's notation, from what a caller asks a text to be."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llguidance import LLMatcher

from mcp_llama.api import OutputFormat
from mcp_llama.engine.constraint import Constraint, Constraints
from mcp_llama.engine.json_schema.fault import explain
from mcp_llama.engine.json_schema.prepared import prepare
from mcp_llama.engine.lark import checked_lark, lark_from_gbnf
from mcp_llama.engine.pattern import fault_of_pattern
from mcp_llama.errors import ConstraintError

MAX_GRAMMAR = 64_000
"""Characters of a regular expression or grammar."""
_MAX_REASON = 300

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
            of_schemas = all(part.schema is not None for part in self.parts.values())
            return constraints.compile(json.dumps({"grammars": bodies}), of_schemas=of_schemas)
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
            return Part(subject, {"lark_grammar": lark_from_gbnf(_text(form, subject), subject)})
        case "lark":
            return Part(subject, {"lark_grammar": checked_lark(_text(form, subject), subject)})


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


def _reason(message: str) -> str:
    """llguidance's message as one line, which for a regular expression ends with what is wrong with it."""
    lines = [line.strip() for line in message.splitlines()]
    faults = [line for line in lines if line.startswith("error: ")]
    return " ".join([" ".join(lines if not faults else lines[:1])[:_MAX_REASON], *faults[:1]])
