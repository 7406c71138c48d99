"""LlamaBatch: rows as the C structure that llama_decode takes. Engine thread only."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# llama_cpp's ctypes bindings carry few usable types.

import ctypes
from typing import Any

import llama_cpp.llama_cpp as lib
import numpy as np
import numpy.typing as npt

from mcp_llama.engine.model import Rows


class LlamaBatch:
    """A llama_batch over arrays that live as long as it does, filled anew for each decode."""

    def __init__(self, capacity: int) -> None:
        self._tokens = np.zeros(capacity, np.int32)
        self._positions = np.zeros(capacity, np.int32)
        self._slots = np.zeros(capacity, np.int32)
        self._outputs = np.zeros(capacity, np.int8)
        self._counts = np.ones(capacity, np.int32)
        stride = self._slots.itemsize
        # Each row belongs to one sequence, so its list of sequences is one cell of the array of slots.
        self._slot_pointers = self._slots.ctypes.data + stride * np.arange(capacity, dtype=np.uintp)
        self._batch = lib.llama_batch()
        int32_p = ctypes.POINTER(ctypes.c_int32)
        self._batch.token = _pointer(self._tokens, int32_p)
        self._batch.pos = _pointer(self._positions, int32_p)
        self._batch.n_seq_id = _pointer(self._counts, int32_p)
        self._batch.seq_id = _pointer(self._slot_pointers, ctypes.POINTER(int32_p))
        self._batch.logits = _pointer(self._outputs, ctypes.POINTER(ctypes.c_int8))

    def fill(self, rows: Rows) -> lib.llama_batch:
        """The batch, with these rows."""
        count = len(rows)
        self._tokens[:count] = rows.tokens
        self._positions[:count] = rows.positions
        self._slots[:count] = rows.slots
        self._outputs[:count] = rows.outputs
        self._batch.n_tokens = count
        return self._batch


def _pointer(array: npt.NDArray[Any], kind: type[Any]) -> Any:
    return ctypes.cast(array.ctypes.data, kind)
