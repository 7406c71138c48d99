"""Fit: the context of a slot and the number of slots that suit a model, the options and the free memory."""

import logging
import math

import psutil

from mcp_llama.engine.llama.options import CacheType, ModelOptions
from mcp_llama.engine.llama.rope import Rope
from mcp_llama.errors import ConfigError, ModelLoadError

logger = logging.getLogger(__name__)

_DEFAULT_N_CTX = 8192
_DEFAULT_N_SLOTS = 4
_MIN_N_CTX = 512
_KV_SHARE_OF_MEMORY = 0.25
BLOCK = 32
"""The values that a quantised cache holds together."""
_BYTES_OF_BLOCK: dict[CacheType, int] = {
    "f32": 128,
    "f16": 64,
    "bf16": 64,
    "q8_0": 34,
    "q5_1": 24,
    "q5_0": 22,
    "q4_1": 20,
    "q4_0": 18,
    "iq4_nl": 18,
}


def kv_bytes(keys: int, values: int, options: ModelOptions) -> int:
    """The bytes of so many numbers of keys and of values."""
    return (keys * _BYTES_OF_BLOCK[options.type_k] + values * _BYTES_OF_BLOCK[options.type_v]) // BLOCK


def fit(options: ModelOptions, rope: Rope, token: int) -> tuple[int, int]:
    """Context of one slot and number of slots, such that the KV cache takes a modest share of free memory.

    `token` is the bytes that a token takes in the cache.

    Raises:
        ConfigError: an option does not fit the model, or another one.
        ModelLoadError: the cache needs more memory than is free.
    """
    wanted, reach = wanted_n_ctx(options, rope), rope.n_ctx_max(options)
    n_ctx = wanted or min(reach or rope.n_ctx_train, _DEFAULT_N_CTX, options.n_cells or _DEFAULT_N_CTX)
    n_slots = options.n_slots or _DEFAULT_N_SLOTS
    free = psutil.virtual_memory().available
    if options.n_cells is None:
        while options.n_slots is None and n_slots > 1 and n_slots * n_ctx * token > free * _KV_SHARE_OF_MEMORY:
            n_slots -= 1
        while wanted is None and n_ctx > _MIN_N_CTX and n_slots * n_ctx * token > free * _KV_SHARE_OF_MEMORY:
            n_ctx //= 2
    needed = (options.n_cells or n_slots * n_ctx) * token
    if needed > free and not options.n_gpu_layers:
        raise ModelLoadError(
            f"{n_slots} slots of {n_ctx:,} tokens need {needed / 2**30:.1f} GiB for the KV cache, "
            f"but only {free / 2**30:.1f} GiB of memory are free. Lower n_ctx, n_slots or n_cells, "
            "or give the cache fewer bits with type_k and type_v."
        )
    return n_ctx, n_slots


def wanted_n_ctx(options: ModelOptions, rope: Rope) -> int | None:
    """The context that was asked for, or less if that may be; None if none was.

    Raises:
        ConfigError: it does not fit the model, or another option.
    """
    n_ctx, reach = options.n_ctx, rope.n_ctx_max(options)
    if n_ctx is None:
        return None
    if reach is not None and n_ctx > reach:
        if not options.cut_n_ctx:
            raise _too_long(n_ctx, reach, rope)
        n_ctx = reach
    if options.n_cells is not None and n_ctx > options.n_cells:
        raise ConfigError(f"n_ctx is {n_ctx:,}, but n_cells only {options.n_cells:,}. Raise n_cells.")
    return n_ctx


def warn_of_n_ctx(name: str, options: ModelOptions, rope: Rope) -> None:
    """Log where the context is not what was asked for, or more than is known to make sense."""
    asked, wanted, trained = options.n_ctx, wanted_n_ctx(options, rope), rope.n_ctx_train
    if asked is None or wanted is None:
        return
    if wanted < asked:
        logger.warning("n_ctx is %s, but %s was trained on %s tokens and gets these", f"{asked:,}", name, f"{wanted:,}")
    if wanted > trained and rope.n_ctx_max(options) is None:
        logger.warning(
            "%s was trained on %s tokens; whether rope_freq_base makes %s of them is not checked",
            name, f"{trained:,}", f"{wanted:,}",
        )  # fmt: skip


def _too_long(n_ctx: int, reach: int, rope: Rope) -> ConfigError:
    scale = _rounded_down(rope.n_ctx_native / n_ctx)
    if reach != rope.n_ctx_train:
        return ConfigError(
            f"n_ctx is {n_ctx:,}, but with these options the model reaches {reach:,} tokens. "
            f"Lower n_ctx, or set rope_freq_scale to {scale}."
        )
    stretch = f" To stretch it, at some cost of quality, add rope_scaling yarn and rope_freq_scale {scale}."
    return ConfigError(
        f"n_ctx is {n_ctx:,}, but the model was trained on {reach:,} tokens.{stretch if rope.is_used else ''}"
    )


def _rounded_down(value: float) -> str:
    """Three digits of a number between 0 and 1."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return f"{math.floor(value / unit) * unit:.3g}"
