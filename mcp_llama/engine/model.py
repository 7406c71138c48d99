"""Model: all that the engine needs from llama.cpp, as a protocol."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from mcp_llama.engine.constraint import Constraint
from mcp_llama.engine.sampling import SamplingParams

EMBED_ROWS = 128
"""The most tokens that `Model.embed` takes: llama.cpp keeps logits of each, though nobody reads them."""

Pooling = Literal["mean", "cls", "last"]
Vectors = npt.NDArray[np.float32]


class DecodeAbortedError(Exception):
    """`abort()` ended a decode. The rows of the batch count as not computed."""


class DecodeError(Exception):
    """A decode failed. The rows of the batch count as not computed."""


@dataclass(slots=True)
class Rows:
    """The rows of one decode, as parallel lists: token, position in its sequence, slot, and whether it is sampled."""

    tokens: list[int] = field(default_factory=list[int])
    positions: list[int] = field(default_factory=list[int])
    slots: list[int] = field(default_factory=list[int])
    outputs: list[bool] = field(default_factory=list[bool])

    def __len__(self) -> int:
        return len(self.tokens)


class Sampler(Protocol):
    """The sampler chain of one sequence, with its constraint. Engine thread only."""

    def sample(self, row: int) -> int:
        """Choose and accept the next token from the logits of a row of the last decode.

        Raises:
            ConstraintError: there is none that constraint and sampling options allow.
        """
        ...

    def accept(self, token: int) -> None:
        """Take a token in that was not sampled.

        Raises:
            ConstraintError: the constraint does not allow it.
        """
        ...

    def close(self) -> None:
        """Free the chain."""
        ...


class KvMemory(Protocol):
    """The KV cache of a model: what its slots hold. Engine thread only."""

    @property
    def n_slots(self) -> int:
        """How many sequences run at once."""
        ...

    @property
    def n_ctx(self) -> int:
        """How many tokens one sequence may hold."""
        ...

    @property
    def n_cells(self) -> int:
        """How many tokens all slots may hold together, at least `n_ctx`."""
        ...

    @property
    def kv_unified(self) -> bool:
        """Whether slots share the cells of a copied prefix; otherwise each has a lane of `n_ctx` cells."""
        ...

    @property
    def has_lanes(self) -> bool:
        """Whether each slot has `n_ctx` cells to itself, and neighbouring slots are computed together only."""
        ...

    def can_cut(self, slot: int, length: int) -> bool:
        """Whether a slot can be cut to its first `length` tokens."""
        ...

    def truncate(self, slot: int, length: int) -> int:
        """Drop what a slot holds from position `length` on; the length that is left, 0 if it can't be cut there."""
        ...

    def copy(self, source: int, target: int, length: int) -> int:
        """Make slot `target` hold the first `length` tokens of slot `source`; the length that it holds then."""
        ...

    def save(self, slot: int) -> bytes:
        """The state of a slot, for `restore`."""
        ...

    def restore(self, slot: int, state: bytes) -> bool:
        """Make a slot hold a saved state; False, and the slot is empty, if the state does not fit."""
        ...

    @property
    def state_kind(self) -> str:
        """What the meaning of a saved state depends on, beside the model's file."""
        ...

    def state_size(self, slot: int) -> int:
        """How many bytes the state of a slot takes."""
        ...

    def save_file(self, slot: int, path: Path, tokens: Sequence[int]) -> None:
        """Write the state of a slot, which holds these tokens, for `load_file`.

        Raises:
            OSError: the file cannot be written whole.
        """
        ...

    def load_file(self, slot: int, path: Path) -> list[int]:
        """Make a slot hold what `save_file` has written; its tokens, or none and the slot is empty if it does not fit.

        Only for files that are as they were written: a damaged one may end the process.
        """
        ...


class Model(KvMemory, Protocol):
    """A loaded model with its context. Engine thread only, except where a method says otherwise."""

    @property
    def n_batch(self) -> int:
        """How many rows one decode takes."""
        ...

    def decode(self, rows: Rows) -> None:
        """Compute the rows.

        Raises:
            DecodeAbortedError: `abort()` was called.
            DecodeError: llama.cpp refused or failed.
        """
        ...

    def abort(self) -> None:
        """End the decode that is running, if one is. Any thread."""
        ...

    def clear_abort(self) -> None:
        """Forget an `abort()` that found no decode to end."""
        ...

    def sampler(self, params: SamplingParams, prompt: Sequence[int], constraint: Constraint | None) -> Sampler:
        """A new chain. `prompt` feeds the penalties. With a constraint, the distribution is the chain's own among the
        tokens that it allows.
        """
        ...

    def logprobs(self, row: int, token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
        """The log probability of `token` after a row of the last decode, and the `top` likeliest tokens with theirs.

        The probabilities are the model's own, before any sampling option.
        """
        ...

    @property
    def pooling(self) -> Pooling:
        """How the vectors of a text's tokens become one."""
        ...

    def embed(self, tokens: Sequence[int], position: int) -> Vectors:
        """The vectors of a text's next tokens, shape (tokens, n_embd); position 0 begins a text.

        At most EMBED_ROWS tokens. Takes no slot.

        Raises:
            DecodeAbortedError: `abort()` was called.
            DecodeError: llama.cpp refused or failed.
        """
        ...

    def token_bytes(self, token: int) -> bytes:
        """The bytes a token stands for; empty for control tokens."""
        ...

    def token_piece(self, token: int) -> bytes:
        """The same, but control tokens are named."""
        ...

    def is_eog(self, token: int) -> bool:
        """Whether the token ends a generation."""
        ...

    def close(self) -> None:
        """Free context and weights."""
        ...
