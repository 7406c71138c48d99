"""ConstrainedSampler: a sampler chain whose choice a constraint may refuse. Engine thread only."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# llama_cpp's ctypes bindings carry few usable types.

import ctypes
import math
from typing import Any, cast

import llama_cpp.llama_cpp as lib
import numpy as np
import numpy.typing as npt

from mcp_llama.engine.constraint import Constraint
from mcp_llama.engine.llama.sampler import LlamaSampler
from mcp_llama.errors import ConstraintError

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Candidates:
    """The tokens among which a chain chooses, in the layout of llama.cpp's `llama_token_data_array`.

    One for each model: it is used within one call only.
    """

    def __init__(self, n_vocab: int) -> None:
        self._n_vocab = n_vocab
        self._ids = np.arange(n_vocab, dtype=np.int32)
        self._data: npt.NDArray[Any] = np.zeros(n_vocab, _CANDIDATE)
        self._pointer: Any = ctypes.cast(self._data.ctypes.data, ctypes.POINTER(lib.llama_token_data))
        self._array: Any = lib.llama_token_data_array()

    def fill(self, context: lib.llama_context_p, row: int) -> None:
        """Take every token in, with the logits of a row of the last decode."""
        self._data["id"] = self._ids
        self._data["logit"] = np.ctypeslib.as_array(lib.llama_get_logits_ith(context, row), (self._n_vocab,))
        self._reset(self._n_vocab)

    def choose(self, sampler: "lib.llama_sampler_p") -> int:
        """Let a chain, or one link of it, narrow the candidates down and choose."""
        lib.llama_sampler_apply(sampler, cast(Any, ctypes.byref(self._array)))
        return self._array.data[self._array.selected].id

    @property
    def is_possible(self) -> bool:
        """Whether the one that was chosen has a probability above 0."""
        return math.isfinite(self._array.data[self._array.selected].logit)

    def keep(self, allowed: npt.NDArray[np.bool_]) -> bool:
        """Drop those that are not allowed or that the chain has ruled out; False if none would be left."""
        data = np.ctypeslib.as_array(self._array.data, (self._array.size,))
        kept = data[allowed[data["id"]] & np.isfinite(data["logit"])]
        if not len(kept):
            return False
        self._data[: len(kept)] = kept
        self._reset(len(kept), is_sorted=self._array.sorted)
        return True

    def _reset(self, size: int, *, is_sorted: bool = False) -> None:
        self._array.data = self._pointer
        self._array.size = size
        self._array.selected = -1
        self._array.sorted = is_sorted


class ConstrainedSampler:
    """Draws freely, and again where the constraint refuses.

    A free draw is kept if the constraint allows it, else the draw is repeated among those of the chain's candidates
    that it allows: the distribution is the chain's own, given that the token is allowed. If the chain has left none of
    those, it chooses among all tokens that are allowed. Mirostat learns from every draw, so it sees these alone.
    """

    def __init__(self, free: LlamaSampler, constraint: Constraint, candidates: Candidates) -> None:
        self._free = free
        self._choice = lib.llama_sampler_chain_get(free.chain, lib.llama_sampler_chain_n(free.chain) - 1)
        self._learns = lib.llama_sampler_name(self._choice).startswith(b"mirostat")
        self._constraint = constraint
        self._candidates = candidates

    def sample(self, row: int) -> int:
        """Choose and accept the next token; see `Sampler.sample`."""
        self._candidates.fill(self._free.context, row)
        token = self._choose_from(self._constraint.allowed()) if self._learns else self._choose(row)
        self.accept(token)
        return token

    def accept(self, token: int) -> None:
        """Take a token in; see `Sampler.accept`."""
        self._constraint.accept(token)
        self._free.accept(token)

    def close(self) -> None:
        """Free the chain."""
        self._free.close()

    def _choose(self, row: int) -> int:
        token = self._candidates.choose(self._free.chain)
        if self._constraint.allows(token):
            return token
        allowed = self._constraint.allowed()
        if self._candidates.keep(allowed):
            return self._candidates.choose(self._choice)
        self._candidates.fill(self._free.context, row)
        return self._choose_from(allowed)

    def _choose_from(self, allowed: npt.NDArray[np.bool_]) -> int:
        if self._candidates.keep(allowed):
            token = self._candidates.choose(self._free.chain)
            if self._candidates.is_possible:
                return token
        raise ConstraintError("The format", "the sampling options rule out every token that it allows. Change them.")
