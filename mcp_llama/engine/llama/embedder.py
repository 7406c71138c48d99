"""LlamaEmbedder: a context of its own that gives the vector of every token. Engine thread only."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# llama_cpp's ctypes bindings carry few usable types.

from collections.abc import Sequence
from typing import cast

import llama_cpp.llama_cpp as lib
import numpy as np

from mcp_llama.engine.llama.batch import LlamaBatch
from mcp_llama.engine.llama.contexts import Contexts
from mcp_llama.engine.llama.library import check_status, first_error
from mcp_llama.engine.model import EMBED_ROWS, DecodeError, Pooling, Rows, Vectors

_POOLINGS: dict[int, Pooling] = {1: "mean", 2: "cls", 3: "last"}
"""llama.cpp's numbers of the poolings that make one vector of many."""


def own_pooling(metadata: dict[str, str]) -> Pooling:
    """The pooling that the model's file names, or the mean where it names none."""
    named = metadata.get(f"{metadata.get('general.architecture')}.pooling_type", "")
    return _POOLINGS.get(int(named), "mean") if named.isdecimal() else "mean"


class LlamaEmbedder:
    """Computes one text at a time, apart from the slots."""

    def __init__(self, contexts: Contexts, n_ctx: int, n_embd: int) -> None:
        """Make the context.

        Raises:
            DecodeError: there is no memory for it.
        """
        params = contexts.params()
        params.n_ctx = n_ctx
        params.n_seq_max = 1
        params.n_batch = params.n_ubatch = EMBED_ROWS
        params.embeddings = True
        # Pooling inside llama.cpp ends with each batch, and a text may take several.
        params.pooling_type = lib.LLAMA_POOLING_TYPE_NONE
        self._batch = LlamaBatch(EMBED_ROWS)
        self._n_embd = n_embd
        self.context = contexts.make(params)
        if not self.context:
            raise DecodeError(f"llama.cpp could not make a context for embeddings: {first_error()}")

    def embed(self, tokens: Sequence[int], position: int) -> Vectors:
        """The vectors of a text's next tokens; see `Model.embed`."""
        if position == 0:
            lib.llama_memory_clear(cast(lib.llama_memory_t, lib.llama_get_memory(self.context)), False)
        count = len(tokens)
        rows = Rows(list(tokens), list(range(position, position + count)), [0] * count, [True] * count)
        check_status(lib.llama_decode(self.context, self._batch.fill(rows)), count)
        vectors = lib.llama_get_embeddings(self.context)
        return np.ctypeslib.as_array(vectors, (count, self._n_embd)).copy()

    def close(self) -> None:
        """Free the context."""
        lib.llama_free(self.context)
