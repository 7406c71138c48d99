"""LlamaModel: a GGUF file loaded by llama.cpp, with its context. With the sampler, the only importer of llama_cpp."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# llama_cpp's ctypes bindings carry no usable types.

import ctypes
import functools
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import llama_cpp.llama_cpp as lib
import numpy as np
import psutil

from mcp_llama.engine.model import DecodeAbortedError, DecodeError, Rows
from mcp_llama.engine.sampler import LlamaSampler
from mcp_llama.engine.types import SamplingParams
from mcp_llama.errors import ConfigError, ModelLoadError

logger = logging.getLogger("llama.cpp")

_DEFAULT_N_CTX = 8192
_DEFAULT_N_SLOTS = 4
_MIN_N_CTX = 512
_KV_SHARE_OF_MEMORY = 0.25
_F16_BYTES = 2
_GGML_LOG_WARN = 3
_GGML_LOG_ERROR = 4
_DECODE_NO_SLOT = 1
_DECODE_ABORTED = 2

_SAMPLING_KEYS = {
    "temperature": "temp",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "xtc_probability": "xtc_probability",
    "xtc_threshold": "xtc_threshold",
    "repeat_last_n": "penalty_last_n",
    "repeat_penalty": "penalty_repeat",
    "mirostat": "mirostat",
    "mirostat_tau": "mirostat_tau",
    "mirostat_eta": "mirostat_eta",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How a model is loaded. `n_ctx` is the context of one slot; None lets the model and the machine decide."""

    n_ctx: int | None = None
    n_slots: int | None = None
    n_batch: int = 512
    n_threads: int | None = None
    n_gpu_layers: int = 0


class LlamaModel:
    """A loaded model. Engine thread only, except tokenize, detokenize, abort and the plain attributes."""

    def __init__(self, path: Path, options: ModelOptions, on_progress: Callable[[float], bool] | None = None) -> None:
        """Load weights and make a context.

        `on_progress` gets the loaded share, from 0 to 1; loading ends when it returns False.

        Raises:
            ModelLoadError: the file is missing, damaged, unsupported or too large.
            ConfigError: an option does not fit the model.
        """
        check_file(path, options)
        _start_backend()
        _llama_errors.clear()
        self._model = _load_weights(path, options, on_progress)
        self._vocab = lib.llama_model_get_vocab(self._model)
        self.n_vocab: int = lib.llama_vocab_n_tokens(self._vocab)
        self.n_ctx_train: int = lib.llama_model_n_ctx_train(self._model)
        self.n_params: int = lib.llama_model_n_params(self._model)
        self.size: int = lib.llama_model_size(self._model)
        self.description = _read_string(functools.partial(lib.llama_model_desc, self._model))
        self.metadata = _read_metadata(self._model)
        template = lib.llama_model_chat_template(self._model, None)
        self.chat_template: str | None = template.decode("utf-8", "replace") if template else None
        self.bos_text = self._special_text(lib.llama_vocab_bos(self._vocab))
        self.eos_text = self._special_text(lib.llama_vocab_eos(self._vocab))
        self.default_sampling = SamplingParams().override(_metadata_sampling(self.metadata))
        try:
            self.n_ctx, self.n_slots = self._fit(options)
            self.n_batch = max(options.n_batch, self.n_slots)
            self._context = self._new_context(options)
        except BaseException:
            lib.llama_model_free(self._model)
            raise
        self._memory = lib.llama_get_memory(self._context)
        self._swa_window: int = lib.llama_model_n_swa(self._model)
        self._pieces: dict[int, bytes] = {}
        self._eog = frozenset(t for t in range(self.n_vocab) if lib.llama_vocab_is_eog(self._vocab, t))
        self._batch = _Batch(self.n_batch)
        self._abort_flag = ctypes.create_string_buffer(b"0")
        # ggml asks at every graph node: a C function answers without taking the GIL, and atoi reads the flag.
        atoi = ctypes.cdll.msvcrt.atoi if sys.platform == "win32" else ctypes.CDLL(None).atoi
        self._abort_callback = ctypes.cast(atoi, lib.ggml_abort_callback)
        lib.llama_set_abort_callback(
            self._context, self._abort_callback, ctypes.cast(self._abort_flag, ctypes.c_void_p)
        )
        self._warm_up()

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """The tokens of `text`, with the model's own leading tokens if `add_special`. Any thread."""
        raw = text.encode("utf-8", "surrogatepass")
        capacity = len(raw) + 8
        tokens = (lib.llama_token * capacity)()
        count = lib.llama_tokenize(self._vocab, raw, len(raw), tokens, capacity, add_special, parse_special)
        assert count >= 0, "a token is at least one byte long"
        return tokens[:count]

    def decode(self, rows: Rows) -> None:
        """Compute the rows; see `Model.decode`."""
        status = lib.llama_decode(self._context, self._batch.fill(rows))
        if status == 0:
            return
        if status == _DECODE_ABORTED:
            raise DecodeAbortedError
        reason = "the KV cache is full" if status == _DECODE_NO_SLOT else f"llama_decode returned {status}"
        raise DecodeError(f"{reason} (batch of {len(rows)} rows)")

    def abort(self) -> None:
        """End the decode that is running. Any thread."""
        self._abort_flag[0] = b"1"

    def clear_abort(self) -> None:
        """Forget an `abort()` that found no decode to end."""
        self._abort_flag[0] = b"0"

    def truncate(self, slot: int, length: int) -> int:
        """Drop what a slot holds from position `length` on; the length that is left."""
        kept = length if length and self._can_cut(slot, length) else 0
        if kept and lib.llama_memory_seq_rm(self._memory, slot, kept, -1):
            return kept
        lib.llama_memory_seq_rm(self._memory, slot, -1, -1)
        return 0

    def _warm_up(self) -> None:
        """One decode, so that the first request does not pay for pages and buffers that were never touched."""
        self.decode(Rows([0], [0], [0], [True]))
        self.truncate(0, 0)

    def _can_cut(self, slot: int, length: int) -> bool:
        """Whether the cells that the token at `length` attends to are all there (a sliding window drops old ones)."""
        if not self._swa_window:
            return True
        oldest: int = lib.llama_memory_seq_pos_min(self._memory, slot)
        return oldest <= max(0, length - self._swa_window)

    def held_tokens(self, slot: int) -> int:
        """How many positions a slot holds."""
        return lib.llama_memory_seq_pos_max(self._memory, slot) + 1

    def sampler(self, params: SamplingParams, prompt: Sequence[int]) -> LlamaSampler:
        """A new chain.

        Raises:
            RequestError: `logit_bias` names a token that does not exist.
        """
        return LlamaSampler(
            params,
            prompt,
            context=self._context,
            vocab=self._vocab,
            n_vocab=self.n_vocab,
            n_ctx=self.n_ctx,
            eog_tokens=sorted(self._eog) if params.ignore_eos else (),
        )

    def token_bytes(self, token: int) -> bytes:
        """The bytes a token stands for; empty for control tokens."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._read_piece(token, special=False)
        return piece

    def is_eog(self, token: int) -> bool:
        """Whether the token ends a generation."""
        return token in self._eog

    def close(self) -> None:
        """Free context and weights."""
        lib.llama_free(self._context)
        lib.llama_model_free(self._model)

    def _special_text(self, token: int) -> str:
        return "" if token < 0 else self._read_piece(token, special=True).decode("utf-8", "replace")

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        length = lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
        return buffer.raw[:length]

    def _fit(self, options: ModelOptions) -> tuple[int, int]:
        """Context of one slot and number of slots, such that the KV cache takes a modest share of free memory."""
        if options.n_ctx is not None and options.n_ctx > self.n_ctx_train:
            raise ConfigError(f"n_ctx is {options.n_ctx:,}, but the model was trained on {self.n_ctx_train:,} tokens.")
        n_ctx = options.n_ctx or min(self.n_ctx_train, _DEFAULT_N_CTX)
        n_slots = options.n_slots or _DEFAULT_N_SLOTS
        budget = psutil.virtual_memory().available * _KV_SHARE_OF_MEMORY
        cell = self._kv_bytes_per_token()
        while options.n_slots is None and n_slots > 1 and n_slots * n_ctx * cell > budget:
            n_slots -= 1
        while options.n_ctx is None and n_ctx > _MIN_N_CTX and n_slots * n_ctx * cell > budget:
            n_ctx //= 2
        needed = n_slots * n_ctx * cell
        if needed > psutil.virtual_memory().available and not options.n_gpu_layers:
            raise ModelLoadError(
                f"{n_slots} slots of {n_ctx:,} tokens need {needed / 2**30:.1f} GiB for the KV cache, "
                "more than is free. Lower n_ctx or n_slots."
            )
        return n_ctx, n_slots

    def _kv_bytes_per_token(self) -> int:
        heads = max(1, lib.llama_model_n_head(self._model))
        width = lib.llama_model_n_embd(self._model) // heads * lib.llama_model_n_head_kv(self._model)
        return 2 * width * lib.llama_model_n_layer(self._model) * _F16_BYTES

    def _new_context(self, options: ModelOptions) -> object:
        params = lib.llama_context_default_params()
        params.n_ctx = self.n_ctx * self.n_slots
        params.n_seq_max = self.n_slots
        # A KV lane per sequence: what a neighbour does then changes neither the cells nor the bits of a result.
        params.kv_unified = False
        params.n_batch = params.n_ubatch = self.n_batch
        params.n_outputs_max = self.n_slots
        params.n_threads = params.n_threads_batch = options.n_threads or psutil.cpu_count(logical=False) or 1
        params.swa_full = False
        params.no_perf = True
        context = lib.llama_init_from_model(self._model, params)
        if not context:
            raise ModelLoadError(f"llama.cpp could not make a context: {_last_llama_error()}")
        return context


class _Batch:
    """A llama_batch over arrays that live as long as it does, filled anew for each decode."""

    def __init__(self, capacity: int) -> None:
        self._tokens = np.zeros(capacity, np.int32)
        self._positions = np.zeros(capacity, np.int32)
        self._slots = np.zeros(capacity, np.int32)
        self._outputs = np.zeros(capacity, np.int8)
        self._counts = np.ones(capacity, np.int32)
        stride = self._slots.itemsize
        self._slot_pointers = self._slots.ctypes.data + stride * np.arange(capacity, dtype=np.uintp)
        batch = self._batch = lib.llama_batch()
        fields = {
            "token": self._tokens,
            "pos": self._positions,
            "n_seq_id": self._counts,
            "seq_id": self._slot_pointers,
            "logits": self._outputs,
        }
        types = dict(batch._fields_)
        for name, array in fields.items():
            setattr(batch, name, ctypes.cast(array.ctypes.data, types[name]))

    def fill(self, rows: Rows) -> object:
        """The batch, with these rows."""
        count = len(rows)
        self._tokens[:count] = rows.tokens
        self._positions[:count] = rows.positions
        self._slots[:count] = rows.slots
        self._outputs[:count] = rows.outputs
        self._batch.n_tokens = count
        return self._batch


def check_file(path: Path, options: ModelOptions) -> None:
    """Refuse what can't be a model before llama.cpp sees it.

    Raises:
        ModelLoadError: not a file, not GGUF, or larger than the free memory.
    """
    if not path.is_file():
        raise ModelLoadError(f"No model file at {path}. Give the path of a GGUF file.")
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise ModelLoadError(f"{path} is not a GGUF file (it starts with {magic!r}). Give the path of a GGUF file.")
    size, free = path.stat().st_size, psutil.virtual_memory().available
    if size > free and not options.n_gpu_layers:
        raise ModelLoadError(
            f"{path.name} has {size / 2**30:.1f} GiB, but only {free / 2**30:.1f} GiB of memory are free. "
            "Take a smaller quantisation, or put layers on a GPU with n_gpu_layers."
        )


def _load_weights(path: Path, options: ModelOptions, on_progress: Callable[[float], bool] | None) -> object:
    params = lib.llama_model_default_params()
    params.n_gpu_layers = options.n_gpu_layers

    def report(share: float, _: object) -> bool:
        return on_progress is None or on_progress(share)

    params.progress_callback = lib.llama_progress_callback(report)
    model = lib.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise ModelLoadError(f"{path} could not be loaded: {_last_llama_error()}. The file may be incomplete.")
    return model


def _read_string(read: Callable[[object, int], int]) -> str:
    buffer = ctypes.create_string_buffer(256)
    length = read(buffer, len(buffer))
    if length >= len(buffer):
        buffer = ctypes.create_string_buffer(length + 1)
        read(buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace")


def _read_metadata(model: object) -> dict[str, str]:
    return {
        _read_string(functools.partial(lib.llama_model_meta_key_by_index, model, i)): _read_string(
            functools.partial(lib.llama_model_meta_val_str_by_index, model, i)
        )
        for i in range(lib.llama_model_meta_count(model))
    }


def _metadata_sampling(metadata: dict[str, str]) -> dict[str, object]:
    """The sampling defaults that a GGUF recommends, under the names of SamplingParams."""
    found = {name: metadata.get(f"general.sampling.{key}") for name, key in _SAMPLING_KEYS.items()}
    return {name: float(value) for name, value in found.items() if value is not None}


_llama_errors: list[str] = []


def _last_llama_error() -> str:
    return _llama_errors[-1] if _llama_errors else "no reason given"


@lib.llama_log_callback
def _log(level: int, text: bytes, _: object) -> None:
    line = text.decode("utf-8", "replace").strip()
    if level == _GGML_LOG_ERROR:
        _llama_errors.append(line)
        logger.error("%s", line)
    elif level == _GGML_LOG_WARN:
        logger.info("%s", line)
    elif line:
        logger.debug("%s", line)


def system_info() -> str:
    """What llama.cpp was built for and what it found, in its own words."""
    _start_backend()
    return lib.llama_print_system_info().decode()


def library_folder() -> Path:
    """Where llama.cpp's shared libraries are."""
    return Path(lib.__file__).parent / "lib"


@functools.cache
def _start_backend() -> None:
    lib.llama_log_set(_log, None)
    lib.llama_backend_init()
