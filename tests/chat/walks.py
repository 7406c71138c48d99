"""Random walks through grammars of answers, over a vocabulary of bytes and of the pieces that answers are made of."""

import random
from collections.abc import Sequence

from llguidance import LLTokenizer, TokenizerWrapper

from mcp_llama.chat.marks import GENERIC, HERMES, LLAMA, MISTRAL_ARGS, MISTRAL_LIST
from mcp_llama.engine.constraint import Constraint, Constraints
from mcp_llama.engine.grammar import Grammar
from tests.chat.answers import THINK

_SYNTAXES = (HERMES, MISTRAL_LIST, MISTRAL_ARGS, LLAMA, GENERIC)
_HEADS = {text for syntax in _SYNTAXES for text in (syntax.head, f"{syntax.head}sub{syntax.middle}")}
PIECES = (
    *_HEADS,
    "<tool_call>",
    THINK.start,
    THINK.end,
    '": ',
    '", ',
    '{"',
    ", ",
    "12",
    "ab",
    "é",
    "\n\n",
    '{"name": "',
)
_TOKENS = (b"<eos>", *(bytes([byte]) for byte in range(256)), *(piece.encode() for piece in PIECES))
_END = 0
_CLOSING = frozenset(b'"]}')
_CONTROL = 2
"""The byte 1: it is allowed where the answer is free, and nowhere in calls or JSON."""


class _Vocabulary:
    eos_token_id = _END
    bos_token_id = None
    tokens = _TOKENS
    special_token_ids = (_END,)

    def __call__(self, text: bytes) -> list[int]:
        return [byte + 1 for byte in text]


CONSTRAINTS = Constraints(LLTokenizer(TokenizerWrapper(_Vocabulary())))


def is_free(constraint: Constraint) -> bool:
    """Whether any text may follow."""
    return not constraint.is_complete and bool(constraint.allowed()[_CONTROL])


def may_end(constraint: Constraint) -> bool:
    return constraint.is_complete or bool(constraint.allowed()[_END])


def longest(constraint: Constraint, text: str) -> str:
    """The beginning of `text` that the constraint takes, whole characters only; it goes on to the state after that."""
    for index, char in enumerate(text):
        if not constraint.advance(char):
            return text[:index]
    return text


def forced(constraint: Constraint) -> str:
    """The text that must come next; the constraint goes on to the state after it."""
    text = b""
    while tokens := constraint.forced():
        for token in tokens:
            constraint.accept(token)
            text += _TOKENS[token]
    return text.decode()


def accepts(grammar: Grammar, text: str) -> bool:
    """Whether `text` is a whole answer."""
    constraint = grammar.compile(CONSTRAINTS)
    return longest(constraint, text) == text and may_end(constraint)


def walk(grammar: Grammar, seed: int, steps: int = 400) -> str | None:
    """A whole answer that the grammar allows, or None if none ended within `steps` tokens."""
    constraint, chance, text = grammar.compile(CONSTRAINTS), random.Random(seed), b""
    for step in range(steps):
        if constraint.is_complete:
            return text.decode()
        allowed = [int(token) for token in constraint.allowed().nonzero()[0]]
        token = _choice(allowed, chance, step)
        if token == _END:
            return text.decode()
        constraint.accept(token)
        text += _TOKENS[token]
    return None


def _choice(allowed: Sequence[int], chance: random.Random, step: int) -> int:
    closing = [token for token in allowed if token == _END or _TOKENS[token][0] in _CLOSING]
    pieces = [token for token in allowed if token > 256]
    if closing and chance.random() < step / 80:
        return chance.choice(closing)
    return chance.choice(pieces if pieces and chance.random() < 0.4 else allowed)
