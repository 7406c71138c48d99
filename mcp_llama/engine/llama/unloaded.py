"""UnloadedModel: what llama.cpp tells of a file, and how much memory it would take, without loading it."""

# pyright: reportUnknownMemberType=false
# llama_cpp's ctypes bindings carry few usable types.

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import llama_cpp.llama_cpp as lib

from mcp_llama.engine.llama.adapters import adapter_size
from mcp_llama.engine.llama.files import check_gguf
from mcp_llama.engine.llama.fit import wanted_n_ctx
from mcp_llama.engine.llama.library import heard
from mcp_llama.engine.llama.model import LlamaModel
from mcp_llama.engine.llama.options import ModelOptions
from mcp_llama.engine.llama.weights import load_params, load_weights
from mcp_llama.errors import ModelLoadError

_SIZE = re.compile(r"(?P<buffer>\S+) +(?:buffer )?size = +(?P<mib>\d+\.\d+) MiB")
_LEAST_N_CTX = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """Bytes that a model takes: its weights and adapters, the cache of all slots, and what it computes with."""

    weights: int
    cache: int
    compute: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.compute


class UnloadedModel(LlamaModel):
    """A model without weights and without memory: its metadata, its vocabulary, and what `need` it has.

    Nothing can be decoded with it.
    """

    need: MemoryNeed

    def __init__(self, path: Path, options: ModelOptions) -> None:
        """Read all but the weights. Slots and context are chosen as if the model were loaded now.

        Raises:
            ModelLoadError: the file is missing, damaged or unsupported.
            ConfigError: an option does not fit the model.
        """
        super().__init__(path, options)

    def _open(
        self, path: Path, options: ModelOptions, on_progress: Callable[[float], bool] | None
    ) -> lib.llama_model_p:
        check_gguf(path)
        params = load_params(options)
        params.no_alloc = True
        params.load_mode = lib.LLAMA_LOAD_MODE_NONE
        return load_weights(path, params, on_progress)

    def _load_adapters(self, options: ModelOptions) -> None:
        # They could only be loaded beside the weights.
        self._size_of_adapters = adapter_size(options.lora)

    def _fit(self, options: ModelOptions) -> tuple[int, int]:
        try:
            return super()._fit(options)
        except ModelLoadError:
            # Not even the smallest cache fits, which is what is to be told.
            return wanted_n_ctx(options, self._rope) or min(self.n_ctx_train, _LEAST_N_CTX), options.n_slots or 1

    def _new_context(self) -> lib.llama_context_p:
        with heard() as lines:
            context = super()._new_context()
        cache, compute = sizes_in(lines)
        self.need = MemoryNeed(weights=self.size + self._size_of_adapters, cache=cache, compute=compute)
        return context

    def _prepare(self, options: ModelOptions) -> None:
        """Nothing: there is no memory to compute in."""


def sizes_in(lines: list[str]) -> tuple[int, int]:
    """The bytes of all caches and of all other buffers, as llama.cpp's log has them."""
    cache = compute = 0.0
    for line in lines:
        found = _SIZE.search(line)
        if found is None:
            continue
        if found["buffer"] in ("compute", "output"):
            compute += float(found["mib"])
        elif "buffer size" not in line:
            cache += float(found["mib"])
    return round(cache * 2**20), round(compute * 2**20)
