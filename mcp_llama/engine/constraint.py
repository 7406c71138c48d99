"""Constraint: what the tokens of one sequence must form, as an llguidance matcher."""

from collections.abc import Mapping
from threading import Lock

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from mcp_llama.engine.json_schema.size import parser_limits
from mcp_llama.errors import ConstraintError

MAX_CACHED = 32
_SCHEMA_LIMITS = parser_limits()
_GRAMMAR_LIMITS = LLParserLimits(verbose_errors=False)
"""Other grammars have no need of the long rows that come of schemas with many keys."""


class Constraint:
    """The state of a grammar after the tokens so far.

    Made on any thread; once it is in a TokenRequest it belongs to the engine thread, which closes it.
    """

    def __init__(self, matcher: LLMatcher, tokenizer: LLTokenizer, markers: Mapping[bytes, int]) -> None:
        self._matcher: LLMatcher | None = matcher
        self._tokenizer = tokenizer
        self._markers = markers
        self._mask = np.zeros((tokenizer.vocab_size + 31) // 32, np.int32)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What llguidance says that it does not enforce."""
        return tuple(self._live.get_grammar_warnings())

    @property
    def is_complete(self) -> bool:
        """Whether nothing may follow."""
        return self._live.is_stopped()

    @property
    def is_closed(self) -> bool:
        """Whether the matcher is freed."""
        return self._matcher is None

    def allows(self, token: int) -> bool:
        """Whether `token` may be next."""
        return self._live.validate_tokens([token]) == 1

    def allowed(self) -> npt.NDArray[np.bool_]:
        """For each token of the vocabulary, whether it may be next. Valid until the next call.

        Raises:
            ConstraintError: the grammar turned out to be too complex.
        """
        self._live.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        self._check()
        bits = np.unpackbits(self._mask.view(np.uint8), bitorder="little")[: self._tokenizer.vocab_size].view(np.bool_)
        # Of forced text, the mask holds just the token that the tokenizer would write, and that is never a marker.
        for token in self._markers.values():
            bits[token] |= self.allows(token)
        return bits

    def accept(self, token: int) -> None:
        """Go on to the state after `token`.

        Raises:
            ConstraintError: it may not be next, or the grammar turned out to be too complex.
        """
        self._live.consume_token(token)
        self._check()

    def forced(self) -> list[int]:
        """The tokens that must come next, as the tokenizer would write them; none where the model has a choice."""
        if self._live.is_stopped():
            return []
        if self._markers:
            text = self._live.compute_ff_bytes()
            found = [(text.index(marker), marker) for marker in self._markers if marker in text]
            if found:
                # A marker is a token of its own to the model, and the tokenizer would spell it out.
                start, marker = min(found)
                return [*self._tokenizer.tokenize_bytes(text[:start]), self._markers[marker]]
            if any(_may_begin(marker, text) for marker in self._markers):
                return []
        return self._live.compute_ff_tokens()

    def advance(self, text: str) -> bool:
        """Go on to the state after `text`; False if it does not fit."""
        tokens = self._tokenizer.tokenize_str(text)
        return self._live.try_consume_tokens(tokens) == len(tokens)

    def close(self) -> None:
        """Free the matcher."""
        self._matcher = None

    @property
    def _live(self) -> LLMatcher:
        assert self._matcher is not None, "the constraint is closed"
        return self._matcher

    def _check(self) -> None:
        if self._live.is_error():
            reason = self._live.get_error().strip().partition("\n")[0]
            if reason == "NoExtensionBias":
                raise ConstraintError("The grammar", "no text that it allows can go on from here. Give it an end.")
            raise ConstraintError("The grammar", f"it became too complex while the text grew ({reason}). Simplify it.")


def _may_begin(marker: bytes, text: bytes) -> bool:
    """Whether an end of `text` is the beginning of `marker`."""
    return any(text.endswith(marker[:length]) for length in range(1, len(marker)))


class Constraints:
    """Compiles grammars for one vocabulary, and keeps the last ones. Any thread."""

    def __init__(self, tokenizer: LLTokenizer, markers: tuple[bytes, ...] = ()) -> None:
        self._tokenizer = tokenizer
        found = {marker: tokenizer.greedy_tokenize(marker.decode()) for marker in markers}
        self._markers = {marker: tokens[0] for marker, tokens in found.items() if len(tokens) == 1}
        self._lock = Lock()
        self._compiled: dict[str, LLMatcher] = {}

    def compile(self, grammar: str, *, of_schemas: bool = True) -> Constraint:
        """A constraint at its beginning; `grammar` is in llguidance's own JSON or Lark notation.

        `of_schemas`: what a caller has sent of it are JSON schemas alone.

        Raises:
            ValueError: it is not valid; carries llguidance's own message.
        """
        with self._lock:
            known = self._compiled.pop(grammar, None)
        matcher = (
            known if known is not None else self._compile(grammar, _SCHEMA_LIMITS if of_schemas else _GRAMMAR_LIMITS)
        )
        with self._lock:
            self._compiled[grammar] = matcher
            while len(self._compiled) > MAX_CACHED:
                del self._compiled[next(iter(self._compiled))]
        return Constraint(matcher.deep_copy(), self._tokenizer, self._markers)

    def failure_of(self, grammar: str) -> str | None:
        """Why a grammar is not valid, None if it is."""
        return LLMatcher(self._tokenizer, grammar, log_level=0, limits=_SCHEMA_LIMITS).get_error() or None

    def _compile(self, grammar: str, limits: LLParserLimits) -> LLMatcher:
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        return matcher
