"""A byte vocabulary and random texts of a grammar, without a model."""

import json
import random

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance._tokenizer import TokenizerWrapper

from mcp_llama.engine.json_schema.rules import Schema
from mcp_llama.engine.json_schema.size import parser_limits

PIECES = ('": ', '", ', '{"', '"}', ", ", "true", "null", "\\u00", "12", "ab", "é", "2024-", ".5", "e+", '\\"', "]}")
CLOSING = frozenset(b'"]}')


class _Bytes:
    eos_token_id = 0
    bos_token_id = None
    tokens = (b"<eos>", *(bytes([byte]) for byte in range(256)), *(piece.encode() for piece in PIECES))
    special_token_ids = (0,)

    def __call__(self, text: bytes) -> list[int]:
        return [byte + 1 for byte in text]


TOKENIZER = LLTokenizer(TokenizerWrapper(_Bytes()), n_vocab=len(_Bytes.tokens))


def matcher(schema: Schema, limits: LLParserLimits | None = None) -> LLMatcher:
    grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema))
    return LLMatcher(TOKENIZER, grammar, log_level=0, limits=limits or parser_limits())


def failure_of(schema: Schema) -> str | None:
    return matcher(schema).get_error() or None


def accepts(schema: Schema, text: str) -> bool:
    made = matcher(schema)
    assert not made.is_error(), made.get_error()
    tokens = [byte + 1 for byte in text.encode()]
    return made.try_consume_tokens(tokens) == len(tokens) and made.is_accepting()


def random_text(schema: Schema, seed: int, steps: int = 300) -> str | None:
    """A text that the schema's grammar allows, or None if none ended within `steps` tokens."""
    made, chance, text = matcher(schema), random.Random(seed), b""
    for step in range(steps):
        if made.is_stopped():
            break
        bits = np.unpackbits(np.frombuffer(made.compute_bitmask(), np.uint8), bitorder="little")
        allowed = [int(token) for token in np.flatnonzero(bits[: len(_Bytes.tokens)])]
        if not allowed:
            return None
        closing = [token for token in allowed if token == 0 or _Bytes.tokens[token][0] in CLOSING]
        token = chance.choice(closing if closing and chance.random() < step / 60 else allowed)
        if token == 0:
            break
        if not made.consume_token(token):
            return None
        text += _Bytes.tokens[token]
    return text.decode() if made.is_accepting() or made.is_stopped() else None
