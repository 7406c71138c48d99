"""Adapters: the LoRA adapters of loaded weights. llama.cpp frees them with the weights."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# llama_cpp's ctypes bindings carry few usable types.

import ctypes
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as lib

from mcp_llama.engine.llama.library import clear_errors, first_error
from mcp_llama.engine.llama.options import Lora
from mcp_llama.errors import ModelLoadError


class Adapters:
    """To be loaded before the first context is made, which makes room for them. `size` is in bytes."""

    def __init__(self, weights: "lib.llama_model_p", loras: Sequence[Lora]) -> None:
        """Load them.

        Raises:
            ModelLoadError: a file is missing, damaged, no adapter, or one for another model.
        """
        self.size = adapter_size(loras)
        # By their contents: a file of the same name and size may have been trained anew.
        self.kind = ",".join(f"{_hash(lora.path)}*{lora.scale}" for lora in loras)
        handles = [_load(weights, lora.path) for lora in loras]
        self._handles = (lib.llama_adapter_lora_p_ctypes * len(loras))(*handles)
        self._scales = (ctypes.c_float * len(loras))(*(lora.scale for lora in loras))

    def set_on(self, context: Any) -> None:
        """Let a context use them."""
        if self._handles:
            lib.llama_set_adapters_lora(context, self._handles, len(self._handles), self._scales)


def adapter_size(loras: Sequence[Lora]) -> int:
    """The bytes of all files.

    Raises:
        ModelLoadError: a file is missing.
    """
    for lora in loras:
        if not lora.path.is_file():
            raise ModelLoadError(f"No LoRA adapter at {lora.path}. Give the path of a GGUF file, FILE or FILE=SCALE.")
    return sum(lora.path.stat().st_size for lora in loras)


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise ModelLoadError(f"{path} cannot be read: {error.strerror}.") from error


def _load(weights: "lib.llama_model_p", path: Path) -> Any:
    clear_errors()
    adapter = lib.llama_adapter_lora_init(weights, os.fsencode(path))
    if not adapter:
        raise ModelLoadError(
            f"{path} could not be loaded as a LoRA adapter: {first_error()}. Give one that was made for this model."
        )
    if lib.llama_adapter_get_alora_n_invocation_tokens(adapter):
        raise ModelLoadError(
            f"{path} is an activated LoRA (aLoRA), which acts on a part of each text only. Give an ordinary one."
        )
    return adapter
