"""Rope: how far a model's positions reach, and which options of their rotation make sense for it."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# llama_cpp's ctypes bindings carry few usable types.

from collections.abc import Mapping
from dataclasses import dataclass

import llama_cpp.llama_cpp as lib

from mcp_llama.engine.llama.options import ModelOptions, RopeScaling
from mcp_llama.errors import ConfigError

SCALINGS: dict[RopeScaling | None, int] = {
    None: lib.LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED,
    "none": lib.LLAMA_ROPE_SCALING_TYPE_NONE,
    "linear": lib.LLAMA_ROPE_SCALING_TYPE_LINEAR,
    "yarn": lib.LLAMA_ROPE_SCALING_TYPE_YARN,
    "longrope": lib.LLAMA_ROPE_SCALING_TYPE_LONGROPE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rope:
    """What a model's file says. `freq_scale` is 0.25 for positions that are stretched to four times as many.

    `scaling` is how they are stretched, or would be if they were, and `n_ctx_native` how many there were before.
    """

    scaling: str
    freq_scale: float
    n_ctx_train: int
    n_ctx_native: int
    is_used: bool

    def n_ctx_max(self, options: ModelOptions) -> int | None:
        """The tokens that one sequence may have with these options; None if the options do not tell.

        Raises:
            ConfigError: one of them has no effect on this model.
        """
        scaling, scale = options.rope_scaling, options.rope_freq_scale
        base, original = options.rope_freq_base, options.yarn_orig_ctx
        if (scaling, base, scale, original) == (None, None, None, None):
            return self.n_ctx_train
        self._check(options)
        if base is not None:
            return None
        factor = 1.0 if scaling == "none" else scale or self.freq_scale
        return int((original or self.n_ctx_native) / factor)

    def _check(self, options: ModelOptions) -> None:
        scaling, scale = options.rope_scaling, options.rope_freq_scale
        if not self.is_used:
            raise ConfigError("This model has no rotary positions (RoPE). Leave out the options of them.")
        if scaling == "none" and scale is not None:
            raise ConfigError("rope_scaling none and rope_freq_scale exclude each other. Remove one of them.")
        if scaling == "longrope" and self.scaling != "longrope":
            raise ConfigError("rope_scaling is longrope, but the model has no factors for it. Take yarn or linear.")
        if options.yarn_orig_ctx is not None and (scaling or self.scaling) != "yarn":
            raise ConfigError("yarn_orig_ctx works with yarn only. Add rope_scaling yarn, or leave it out.")
        if scaling in ("linear", "yarn") and scale is None and self.freq_scale == 1:
            raise ConfigError(
                f"rope_scaling is {scaling}, but neither an option nor the model's file says by how much. "
                "Add rope_freq_scale: 0.5 for twice the context."
            )


def read_rope(weights: lib.llama_model_p, metadata: Mapping[str, str], n_ctx_train: int) -> Rope:
    """What a loaded file says."""
    prefix = f"{metadata.get('general.architecture')}.rope.scaling"
    scaling, original = metadata.get(f"{prefix}.type", "linear"), metadata.get(f"{prefix}.original_context_length", "")
    freq_scale: float = lib.llama_model_rope_freq_scale_train(weights)
    stretched = round(n_ctx_train * freq_scale)
    return Rope(
        scaling=scaling,
        freq_scale=freq_scale,
        n_ctx_train=n_ctx_train,
        n_ctx_native=int(original) if scaling == "yarn" and original.isdecimal() else stretched,
        is_used=lib.llama_model_rope_type(weights) != lib.LLAMA_ROPE_TYPE_NONE,
    )
