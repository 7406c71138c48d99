"""Weights: a GGUF file loaded by llama.cpp, with its vocabulary and metadata."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# llama_cpp's ctypes bindings carry few usable types.

import ctypes
import logging
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import llama_cpp.llama_cpp as lib
from llguidance import LLTokenizer

from mcp_llama.engine.llama.files import check_file
from mcp_llama.engine.llama.library import clear_errors, first_error, start_library
from mcp_llama.engine.llama.options import ModelOptions
from mcp_llama.engine.llama.readers import Readers
from mcp_llama.engine.sampling import SamplingParams
from mcp_llama.errors import EngineError, ModelLoadError, RequestError
from mcp_llama.gguf_parts import whole_stem

logger = logging.getLogger(__name__)

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

_TOKENIZE = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_bool,
    ctypes.c_bool,
)  # fmt: skip


class Weights:
    """A loaded file. `tokenize` and `pieces` are for any thread, also while another one closes the file."""

    def __init__(self, path: Path, options: ModelOptions, on_progress: Callable[[float], bool] | None = None) -> None:
        """Load the file; see LlamaModel."""
        self.name = whole_stem(path)
        self._weights = self._open(path, options, on_progress)
        if lib.llama_model_has_encoder(self._weights) or not lib.llama_model_has_decoder(self._weights):
            lib.llama_model_free(self._weights)
            raise ModelLoadError(f"{path.name} is not a model that only decodes. Take one made for text generation.")
        self._vocab = cast(lib.llama_vocab_p, lib.llama_model_get_vocab(self._weights))
        self.n_vocab: int = lib.llama_vocab_n_tokens(self._vocab)
        self.n_ctx_train: int = lib.llama_model_n_ctx_train(self._weights)
        self.n_params: int = lib.llama_model_n_params(self._weights)
        self.size: int = lib.llama_model_size(self._weights)
        self._readers = Readers()
        self.description = _read_string(lambda buffer, size: lib.llama_model_desc(self._weights, buffer, size))
        self.metadata = self._read_metadata()
        template = lib.llama_model_chat_template(self._weights, None)
        self.chat_template: str | None = template.decode("utf-8", "replace") if template else None
        self.bos_text = self._special_text(cast(int, lib.llama_vocab_bos(self._vocab)))
        self.eos_text = self._special_text(cast(int, lib.llama_vocab_eos(self._vocab)))
        self.default_sampling = SamplingParams().override(recommended_sampling(self.metadata))
        self._eog = frozenset(t for t in range(self.n_vocab) if lib.llama_vocab_is_eog(self._vocab, t))
        self._visible = self._find_visible(options.visible_tokens)
        self.visible_tokens = frozenset(self._visible.values())
        self._pieces: dict[int, bytes] = {}

    def _open(
        self, path: Path, options: ModelOptions, on_progress: Callable[[float], bool] | None
    ) -> lib.llama_model_p:
        check_file(path, options)
        return load_weights(path, load_params(options), on_progress)

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """The tokens of `text`, with the model's own leading tokens if `add_special`.

        Raises:
            EngineError: the model has been closed.
        """
        raw = text.encode("utf-8", "replace")
        capacity = len(raw) + 8
        tokens = (lib.llama_token * capacity)()
        with self._readers.reading():
            count = lib.llama_tokenize(self._vocab, raw, len(raw), tokens, capacity, add_special, parse_special)
        assert count >= 0, "a token is at least one byte long"
        return tokens[:count]

    def token_bytes(self, token: int) -> bytes:
        """The bytes a token stands for; empty for control tokens that are not visible."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._read_piece(token, special=token in self._visible)
        return piece

    def token_piece(self, token: int) -> bytes:
        """The same, but control tokens are named."""
        return self.token_bytes(token) or self._read_piece(token, special=True)

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        """The bytes of each token, control tokens named. Any thread, also while another one closes the file.

        Raises:
            EngineError: the model has been closed.
        """
        with self._readers.reading():
            return [self._read_piece(token, special=True) for token in tokens]

    def is_eog(self, token: int) -> bool:
        """Whether the token ends a generation."""
        return token in self._eog

    def grammar_tokenizer(self) -> LLTokenizer:
        """The vocabulary as llguidance wants it, which sees just the bytes that `token_bytes` gives.

        Raises:
            EngineError: the model has been closed, or llguidance cannot work with its vocabulary.
        """
        with self._readers.reading():
            pieces = [
                self._read_piece(token, special=token in self._visible) or self._control_piece(token)
                for token in range(self.n_vocab)
            ]
            make = cast(Any, LLTokenizer).from_llamacpp
            try:
                return make(
                    tokens=pieces,
                    vocab_ptr=self._vocab,
                    tokenize_fptr=ctypes.cast(self._guarded_tokenize, ctypes.c_void_p).value,
                    eos_token=sorted(self._eog),
                    slices=None,
                )
            except ValueError as error:
                raise EngineError(f"This model's vocabulary cannot be used for grammars: {error}") from error

    @cached_property
    def _guarded_tokenize(self) -> Any:
        """llama_tokenize for llguidance, which may still compile a grammar while the file is closed."""
        direct = ctypes.cast(cast(Any, lib)._lib.llama_tokenize, _TOKENIZE)

        def tokenize(*arguments: Any) -> int:
            try:
                with self._readers.reading():
                    return direct(*arguments)
            except EngineError:
                return 0

        return _TOKENIZE(tokenize)

    def _control_piece(self, token: int) -> bytes:
        # The byte 0xff makes a token one that no text can match.
        return b"\xff" + (self._read_piece(token, special=True) or b"<%d>" % token)

    def close(self) -> None:
        """Free the weights, once nobody reads them any more."""
        self._readers.close()
        lib.llama_model_free(self._weights)

    def _find_visible(self, texts: Sequence[str]) -> dict[int, str]:
        """Those control tokens that have one of these names."""
        named = {text: self.tokenize(text, add_special=False, parse_special=True) for text in texts}
        single = {tokens[0]: text for text, tokens in named.items() if len(tokens) == 1}
        return {token: text for token, text in single.items() if not self._read_piece(token, special=False)}

    def _special_text(self, token: int) -> str:
        return "" if token < 0 else self._read_piece(token, special=True).decode("utf-8", "replace")

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        length = lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, special)
        return buffer.raw[:length]

    def _read_metadata(self) -> dict[str, str]:
        def key(index: int) -> str:
            return _read_string(
                lambda buffer, size: lib.llama_model_meta_key_by_index(self._weights, index, buffer, size)
            )

        def value(index: int) -> str:
            return _read_string(
                lambda buffer, size: lib.llama_model_meta_val_str_by_index(self._weights, index, buffer, size)
            )

        return {key(index): value(index) for index in range(lib.llama_model_meta_count(self._weights))}


def recommended_sampling(metadata: dict[str, str]) -> dict[str, object]:
    """The sampling defaults that a GGUF file recommends, under the names of SamplingParams."""
    recommended: dict[str, object] = {}
    for name, key in _SAMPLING_KEYS.items():
        text = metadata.get(f"general.sampling.{key}")
        if text is None:
            continue
        try:
            value = float(text)
            SamplingParams().override({name: value})
        except (ValueError, RequestError):
            logger.warning("The model recommends %s=%s, which makes no sense and is left out", name, text)
        else:
            recommended[name] = value
    return recommended


def load_params(options: ModelOptions) -> lib.llama_model_params:
    """What llama.cpp is to load."""
    params = lib.llama_model_default_params()
    params.n_gpu_layers = options.n_gpu_layers
    if options.no_mmap:
        params.load_mode = lib.LLAMA_LOAD_MODE_NONE
    return params


def load_weights(
    path: Path, params: lib.llama_model_params, on_progress: Callable[[float], bool] | None
) -> lib.llama_model_p:
    """Let llama.cpp load a file.

    Raises:
        ModelLoadError: it could not.
    """
    start_library()
    clear_errors()

    def report(share: float, _: object) -> bool:
        return on_progress is None or on_progress(share)

    params.progress_callback = lib.llama_progress_callback(report)
    weights = lib.llama_model_load_from_file(os.fsencode(path), params)
    if not weights:
        raise ModelLoadError(f"{path} could not be loaded: {first_error()}. The file may be incomplete.")
    return weights


def _read_string(read: Callable[[ctypes.Array[ctypes.c_char], int], int]) -> str:
    buffer = ctypes.create_string_buffer(256)
    length = read(buffer, len(buffer))
    if length >= len(buffer):
        buffer = ctypes.create_string_buffer(length + 1)
        read(buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace")
