"""Constraints for models, and requests that have them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from llguidance import LLTokenizer

from mcp_llama.api import FormatKind, OutputFormat
from mcp_llama.engine.constraint import Constraint, Constraints
from mcp_llama.engine.grammar import format_part, whole_text
from mcp_llama.engine.reasoning import ReasoningRule
from mcp_llama.engine.types import TokenRequest
from tests.engine.matching import TOKENIZER

END = 0
"""The end of a text in the byte vocabulary."""


class Vocabulary(Protocol):
    def grammar_tokenizer(self) -> LLTokenizer: ...


def compiled(kind: FormatKind, definition: object, constraints: Constraints | None = None) -> Constraint:
    """The constraint of an output format; for the byte vocabulary, unless told otherwise."""
    return whole_text(format_part(OutputFormat(kind, definition))).compile(constraints or Constraints(TOKENIZER))


def constraint_for(model: Vocabulary, kind: FormatKind, definition: object) -> Constraint:
    """The same for the vocabulary that a model has now."""
    return compiled(kind, definition, Constraints(model.grammar_tokenizer()))


def constrained(asked: TokenRequest, constraint: Constraint | None, rule: ReasoningRule | None = None) -> TokenRequest:
    """The request with a constraint and a rule for reasoning."""
    return replace(asked, constraint=constraint, reasoning=rule)


def tokens(text: str) -> list[int]:
    """A text in the byte vocabulary."""
    return [byte + 1 for byte in text.encode()]


def take(constraint: Constraint, accepted: Iterable[int]) -> Constraint:
    """The constraint after these tokens."""
    for token in accepted:
        constraint.accept(token)
    return constraint


def fits(kind: FormatKind, definition: object, text: str) -> bool:
    """Whether a text as a whole is of a format."""
    constraint = compiled(kind, definition)
    return constraint.advance(text) and (constraint.is_complete or constraint.allows(END))
