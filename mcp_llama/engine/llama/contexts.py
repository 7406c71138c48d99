"""Contexts: what all llama.cpp contexts of a model have in common."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# llama_cpp's ctypes bindings carry few usable types.

from typing import Any

import llama_cpp.llama_cpp as lib
import psutil

from mcp_llama.engine.llama.adapters import Adapters
from mcp_llama.engine.llama.fit import BLOCK
from mcp_llama.engine.llama.library import clear_errors
from mcp_llama.engine.llama.options import CacheType, ModelOptions
from mcp_llama.engine.llama.rope import SCALINGS
from mcp_llama.errors import ConfigError

_BF16 = 30
_TYPES: dict[CacheType, int] = {
    "f32": lib.GGML_TYPE_F32,
    "f16": lib.GGML_TYPE_F16,
    # llama_cpp has no name for this one.
    "bf16": _BF16,
    "q8_0": lib.GGML_TYPE_Q8_0,
    "q5_1": lib.GGML_TYPE_Q5_1,
    "q5_0": lib.GGML_TYPE_Q5_0,
    "q4_1": lib.GGML_TYPE_Q4_1,
    "q4_0": lib.GGML_TYPE_Q4_0,
    "iq4_nl": lib.GGML_TYPE_IQ4_NL,
}
_EXACT: tuple[CacheType, ...] = ("f32", "f16", "bf16")
_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}


class Contexts:
    """Makes contexts of weights with their adapters."""

    def __init__(
        self, weights: lib.llama_model_p, options: ModelOptions, head_sizes: tuple[int, int], adapters: Adapters | None
    ) -> None:
        """Check what all contexts have in common. `head_sizes` are those of a key and of a value of one head.

        Raises:
            ConfigError: options exclude each other, or do not fit the model.
        """
        _check_types(options, head_sizes)
        self._weights = weights
        self._options = options
        self._adapters = adapters

    @property
    def kind(self) -> str:
        """What the contents of the caches depend on, beside the weights and the layout."""
        options = self._options
        flash_attention = _FLASH_ATTENTION[options.flash_attn]
        rope = (options.rope_scaling, options.rope_freq_base, options.rope_freq_scale, options.yarn_orig_ctx)
        lora = self._adapters.kind if self._adapters else ""
        return f"flash_attn={flash_attention} k={options.type_k} v={options.type_v} rope={rope} lora={lora}"

    def params(self) -> lib.llama_context_params:
        """Those of every context; what is the context's own is still the default."""
        options = self._options
        params = lib.llama_context_default_params()
        params.n_threads = params.n_threads_batch = options.n_threads or psutil.cpu_count(logical=False) or 1
        params.flash_attn_type = _FLASH_ATTENTION[options.flash_attn]
        params.type_k, params.type_v = _TYPES[options.type_k], _TYPES[options.type_v]
        params.rope_scaling_type = SCALINGS[options.rope_scaling]
        # llama.cpp takes zeros for the model's own.
        params.rope_freq_base = options.rope_freq_base or 0.0
        params.rope_freq_scale = options.rope_freq_scale or 0.0
        params.yarn_orig_ctx = options.yarn_orig_ctx or 0
        params.no_perf = True
        return params

    def make(self, params: lib.llama_context_params) -> Any:
        """A context with the adapters; None if there is no room or the model does not allow it, see `first_error`."""
        clear_errors()
        context = lib.llama_init_from_model(self._weights, params)
        if context and self._adapters is not None:
            self._adapters.set_on(context)
        return context


def _check_types(options: ModelOptions, head_sizes: tuple[int, int]) -> None:
    """Refuse what llama.cpp refuses with other words, or computes wrongly: quantised keys without flash attention."""
    if options.type_v not in _EXACT and options.flash_attn == "off":
        raise ConfigError(
            f"type_v {options.type_v} needs flash attention, and flash_attn is off. "
            "Set flash_attn to on or auto, or type_v to f16."
        )
    for name, kind, size in zip(("type_k", "type_v"), (options.type_k, options.type_v), head_sizes, strict=True):
        if kind not in _EXACT and size % BLOCK:
            raise ConfigError(
                f"{name} is {kind}, which holds {BLOCK} values together, but this model's heads have {size}. "
                "Take f16, bf16 or f32."
            )
