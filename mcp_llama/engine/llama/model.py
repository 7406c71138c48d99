"""LlamaModel: weights with a context, which is what the engine runs."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# llama_cpp's ctypes bindings carry few usable types.

import ctypes
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import llama_cpp.llama_cpp as lib
import numpy as np
import numpy.typing as npt

from mcp_llama.engine.constraint import Constraint
from mcp_llama.engine.llama.adapters import Adapters
from mcp_llama.engine.llama.batch import LlamaBatch
from mcp_llama.engine.llama.constrained_sampler import Candidates, ConstrainedSampler
from mcp_llama.engine.llama.contexts import Contexts
from mcp_llama.engine.llama.embedder import LlamaEmbedder, own_pooling
from mcp_llama.engine.llama.fit import fit, kv_bytes, warn_of_n_ctx
from mcp_llama.engine.llama.library import check_status, first_error
from mcp_llama.engine.llama.options import ModelOptions
from mcp_llama.engine.llama.rope import read_rope
from mcp_llama.engine.llama.sampler import LlamaSampler
from mcp_llama.engine.llama.state_files import build_hash, load_state, save_state
from mcp_llama.engine.llama.weights import Weights
from mcp_llama.engine.model import DecodeError, Pooling, Rows, Vectors
from mcp_llama.engine.sampling import SamplingParams
from mcp_llama.errors import ModelLoadError

_MAX_KEPT_STATE = 32 * 2**20


class LlamaModel(Weights):
    """A model that is ready to run; satisfies `Model`. Engine thread only, except `tokenize` and `abort`."""

    def __init__(self, path: Path, options: ModelOptions, on_progress: Callable[[float], bool] | None = None) -> None:
        """Load weights and make a context.

        `on_progress` gets the loaded share, from 0 to 1; loading ends when it returns False.

        Raises:
            ModelLoadError: the file is missing, damaged, unsupported or too large.
            ConfigError: an option does not fit the model.
        """
        super().__init__(path, options, on_progress)
        try:
            self._adapters = self._load_adapters(options)
            keys, values = self._head_size("key"), self._head_size("value")
            self._contexts = Contexts(self._weights, options, (keys, values), self._adapters)
            heads: int = lib.llama_model_n_head_kv(self._weights) * lib.llama_model_n_layer(self._weights)
            self._kv_bytes_per_token = kv_bytes(heads * keys, heads * values, options)
            self._rope = read_rope(self._weights, self.metadata, self.n_ctx_train)
            self.n_ctx, self.n_slots = self._fit(options)
            self.has_lanes = options.n_cells is None
            self._is_cuttable = not (
                lib.llama_model_is_recurrent(self._weights) or lib.llama_model_is_hybrid(self._weights)
            )
            # A copy of what cannot be cut goes by memory, into cells of its own.
            self.kv_unified = self._is_cuttable and not self.has_lanes
            self.n_cells = options.n_cells or self.n_ctx * self.n_slots
            self.n_batch = max(options.n_batch, self.n_slots)
            self.pooling: Pooling = options.pooling or own_pooling(self.metadata)
            self._embedder: LlamaEmbedder | None = None
            self._context = self._new_context()
        except BaseException:
            super().close()
            raise
        try:
            self._prepare(options)
        except DecodeError as error:
            self.close()
            raise ModelLoadError(f"{path.name} loads, but cannot generate text: {error}") from error

    def _prepare(self, options: ModelOptions) -> None:
        warn_of_n_ctx(self.name, options, self._rope)
        self._memory = cast(lib.llama_memory_t, lib.llama_get_memory(self._context))
        self._swa_window: int = lib.llama_model_n_swa(self._weights)
        self._batch = LlamaBatch(self.n_batch)
        self._candidates = Candidates(self.n_vocab)
        self._state_buffer = np.empty(0, np.uint8)
        self._abort_flag = ctypes.create_string_buffer(b"0")
        # ggml asks at every graph node: a C function answers without taking the GIL, and atoi reads the flag.
        atoi = ctypes.cdll.msvcrt.atoi if sys.platform == "win32" else ctypes.CDLL(None).atoi
        self._abort_callback = ctypes.cast(atoi, lib.ggml_abort_callback)
        self._listen_for_abort(self._context)
        self._warm_up()

    def _listen_for_abort(self, context: Any) -> None:
        lib.llama_set_abort_callback(context, self._abort_callback, ctypes.cast(self._abort_flag, ctypes.c_void_p))

    @property
    def memory(self) -> int:
        """The bytes of weights, adapters and KV cache."""
        adapters = self._adapters.size if self._adapters else 0
        return self.size + adapters + self.n_cells * self._kv_bytes_per_token

    def decode(self, rows: Rows) -> None:
        """Compute the rows; see `Model.decode`."""
        check_status(lib.llama_decode(self._context, self._batch.fill(rows)), len(rows))

    def abort(self) -> None:
        """End the decode that is running. Any thread."""
        self._abort_flag[0] = b"1"

    def clear_abort(self) -> None:
        """Forget an `abort()` that found no decode to end."""
        self._abort_flag[0] = b"0"

    def can_cut(self, slot: int, length: int) -> bool:
        """Whether a slot can be cut to its first `length` tokens; see `Model.can_cut`."""
        if length in (0, self.held_tokens(slot)):
            return True
        if not self._swa_window:
            return self._is_cuttable
        # A sliding window drops old cells; those that the token at `length` attends to must all be there.
        oldest: int = lib.llama_memory_seq_pos_min(self._memory, slot)
        return self._is_cuttable and 0 <= oldest <= max(0, length - self._swa_window)

    def truncate(self, slot: int, length: int) -> int:
        """Drop what a slot holds from position `length` on; the length that is left."""
        if length and self.can_cut(slot, length) and lib.llama_memory_seq_rm(self._memory, slot, length, -1):
            return length
        lib.llama_memory_seq_rm(self._memory, slot, -1, -1)
        return 0

    def copy(self, source: int, target: int, length: int) -> int:
        """Make slot `target` hold the first `length` tokens of slot `source`; the length that it holds then."""
        lib.llama_memory_seq_rm(self._memory, target, -1, -1)
        if self.kv_unified:
            lib.llama_memory_seq_cp(self._memory, source, target, 0, length)
            return length
        # Between lanes llama.cpp copies a whole one only, used or not, so the state of what is used goes by memory.
        return self.truncate(target, length) if self._set_state(target, self._state(source)) else 0

    def save(self, slot: int) -> bytes:
        """The state of a slot; see `Model.save`."""
        return self._state(slot).tobytes()

    def restore(self, slot: int, state: bytes) -> bool:
        """Make a slot hold a saved state; see `Model.restore`."""
        lib.llama_memory_seq_rm(self._memory, slot, -1, -1)
        return self._set_state(slot, np.frombuffer(state, np.uint8))

    @property
    def state_kind(self) -> str:
        """What a state depends on beside the weights; see `Model.state_kind`."""
        # Some models rotate positions otherwise in a long context; without flash attention, values lie transposed.
        lanes = self.n_slots if self.has_lanes else 1
        n_ctx: int = lib.llama_n_ctx_seq(self._context)
        return f"build={build_hash()} n_ctx={n_ctx} lanes={lanes} {self._contexts.kind}"

    def state_size(self, slot: int) -> int:
        """The bytes that the state of a slot takes; see `Model.state_size`."""
        get_size: Any = lib.llama_state_seq_get_size
        return get_size(self._context, slot)

    def save_file(self, slot: int, path: Path, tokens: Sequence[int]) -> None:
        """Write the state of a slot to a file; see `Model.save_file`."""
        save_state(self._context, slot, path, tokens)

    def load_file(self, slot: int, path: Path) -> list[int]:
        """Make a slot hold what a file has; see `Model.load_file`."""
        lib.llama_memory_seq_rm(self._memory, slot, -1, -1)
        tokens = load_state(self._context, slot, path, self.n_ctx)
        if tokens and self.held_tokens(slot) == len(tokens):
            return tokens
        lib.llama_memory_seq_rm(self._memory, slot, -1, -1)
        return []

    def _state(self, slot: int) -> npt.NDArray[np.uint8]:
        """The state of a slot, until the next call."""
        size = self.state_size(slot)
        # Memory that was in use before needs no new pages, which would take longer than the copy.
        buffer = self._state_buffer if size <= len(self._state_buffer) else np.empty(size, np.uint8)
        if size <= _MAX_KEPT_STATE:
            self._state_buffer = buffer
        get_data: Any = lib.llama_state_seq_get_data
        return buffer[: get_data(self._context, _bytes_at(buffer), size, slot)]

    def _set_state(self, slot: int, state: npt.NDArray[np.uint8]) -> bool:
        set_data: Any = lib.llama_state_seq_set_data
        if set_data(self._context, _bytes_at(state), len(state), slot):
            return True
        lib.llama_memory_seq_rm(self._memory, slot, -1, -1)
        return False

    def held_tokens(self, slot: int) -> int:
        """How many positions a slot holds."""
        return lib.llama_memory_seq_pos_max(self._memory, slot) + 1

    def sampler(
        self, params: SamplingParams, prompt: Sequence[int], constraint: Constraint | None = None
    ) -> LlamaSampler | ConstrainedSampler:
        """A new chain; see `Model.sampler`.

        Raises:
            RequestError: `logit_bias` names a token that does not exist.
        """
        free = LlamaSampler(
            params,
            prompt,
            context=self._context,
            vocab=self._vocab,
            n_vocab=self.n_vocab,
            n_ctx=self.n_ctx,
            eog_tokens=sorted(self._eog) if params.ignore_eos else (),
        )
        return free if constraint is None else ConstrainedSampler(free, constraint, self._candidates)

    def logprobs(self, row: int, token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
        """The log probability of `token` after a row, and the likeliest tokens with theirs; see `Model.logprobs`."""
        logits = np.ctypeslib.as_array(lib.llama_get_logits_ith(self._context, row), (self.n_vocab,))
        peak = float(logits.max())
        total = peak + float(np.log(np.exp(logits - peak).sum(dtype=np.float64)))
        likeliest = np.argpartition(logits, -top)[-top:].tolist() if top else []
        ranked = sorted((total - float(logits[other]), other) for other in likeliest)
        return float(logits[token]) - total, [(other, -distance) for distance, other in ranked]

    def embed(self, tokens: Sequence[int], position: int) -> Vectors:
        """The vectors of a text's next tokens; see `Model.embed`."""
        if self._embedder is None:
            self._embedder = LlamaEmbedder(self._contexts, self.n_ctx, lib.llama_model_n_embd(self._weights))
            self._listen_for_abort(self._embedder.context)
        return self._embedder.embed(tokens, position)

    def close(self) -> None:
        """Free contexts and weights."""
        if self._embedder is not None:
            self._embedder.close()
        lib.llama_free(self._context)
        super().close()

    def _warm_up(self) -> None:
        """One decode, so that the first request does not pay for pages and buffers that were never touched."""
        self.decode(Rows([0], [0], [0], [True]))
        self.truncate(0, 0)

    def _load_adapters(self, options: ModelOptions) -> Adapters | None:
        return Adapters(self._weights, options.lora) if options.lora else None

    def _fit(self, options: ModelOptions) -> tuple[int, int]:
        """Context of one slot and number of slots."""
        return fit(options, self._rope, self._kv_bytes_per_token)

    def _head_size(self, kind: Literal["key", "value"]) -> int:
        """How many numbers a key or a value of one head has."""
        named = self.metadata.get(f"{self.metadata.get('general.architecture')}.attention.{kind}_length", "")
        heads = max(1, lib.llama_model_n_head(self._weights))
        return int(named) if named.isdecimal() else lib.llama_model_n_embd(self._weights) // heads

    def _new_context(self) -> lib.llama_context_p:
        params = self._contexts.params()
        params.n_ctx = self.n_cells
        params.n_seq_max = self.n_slots
        # With a lane for each sequence, what a neighbour does changes neither the cells nor the bits of a result.
        params.kv_unified = not self.has_lanes
        params.n_batch = params.n_ubatch = self.n_batch
        params.n_outputs_max = self.n_slots
        params.swa_full = False
        context = self._contexts.make(params)
        if not context:
            raise ModelLoadError(f"llama.cpp could not make a context: {first_error()}")
        return context


def _bytes_at(array: npt.NDArray[np.uint8]) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(ctypes.c_uint8))
