"""What llama-cpp-python itself computes, in contexts of its own.

With and without flash attention the quantised model rounds differently, and by more than a test allows.
"""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# llama_cpp's bindings carry few usable types.

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from mcp_llama.engine.model import Pooling

Floats = npt.NDArray[np.float64]

_POOLINGS: dict[Pooling, int] = {
    "mean": llama_cpp.LLAMA_POOLING_TYPE_MEAN,
    "cls": llama_cpp.LLAMA_POOLING_TYPE_CLS,
    "last": llama_cpp.LLAMA_POOLING_TYPE_LAST,
}


def log_softmax(path: Path, tokens: Sequence[int], *, flash_attention: bool = True, **options: Any) -> Floats:
    """The log probabilities of every next token, after each token of a text: shape (tokens, n_vocab).

    `options` are more of llama-cpp-python's own.
    """
    with closing(
        llama_cpp.Llama(
            str(path), n_ctx=512, n_batch=512, n_threads=1, n_threads_batch=1, logits_all=True,
            flash_attn=flash_attention, verbose=False, **options,
        )
    ) as reference:  # fmt: skip
        reference.eval(tokens)
        logits = np.array(reference.scores[: len(tokens)], np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def pooled(path: Path, text: str, pooling: Pooling, *, flash_attention: bool = True, **options: Any) -> Floats:
    """The vector of a text, pooled by llama.cpp, of length 1."""
    with closing(
        llama_cpp.Llama(
            str(path), n_ctx=512, n_batch=512, n_ubatch=512, n_threads=1, n_threads_batch=1, embedding=True,
            pooling_type=_POOLINGS[pooling], flash_attn=flash_attention, verbose=False, **options,
        )
    ) as reference:  # fmt: skip
        vector = np.array(reference.embed(text, normalize=False), np.float64)
    return vector / np.sqrt((vector**2).sum())
