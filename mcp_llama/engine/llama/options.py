"""How a model is loaded."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mcp_llama.engine.model import Pooling

FlashAttention = Literal["auto", "on", "off"]
CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
RopeScaling = Literal["none", "linear", "yarn", "longrope"]


@dataclass(frozen=True, slots=True)
class Lora:
    """The file of a LoRA adapter, and how strongly it acts."""

    path: Path
    scale: float = 1.0

    def __str__(self) -> str:
        return f"{self.path}={self.scale}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """llama.cpp's options. `n_ctx` is the context of one slot; None lets the model and the machine decide.

    With `n_cells`, all slots share a KV cache of so many cells; else each has a lane of `n_ctx` cells.
    `visible_tokens` are control tokens that show in texts by their names. With `cut_n_ctx`, an `n_ctx` that is too
    large for the model is cut to what it can take.
    """

    n_ctx: int | None = None
    n_slots: int | None = None
    n_cells: int | None = None
    n_batch: int = 512
    n_threads: int | None = None
    n_gpu_layers: int = 0
    no_mmap: bool = False
    flash_attn: FlashAttention = "auto"
    type_k: CacheType = "f16"
    type_v: CacheType = "f16"
    rope_scaling: RopeScaling | None = None
    rope_freq_base: float | None = None
    rope_freq_scale: float | None = None
    yarn_orig_ctx: int | None = None
    lora: tuple[Lora, ...] = ()
    pooling: Pooling | None = None
    visible_tokens: tuple[str, ...] = ()
    cut_n_ctx: bool = False

    def for_another_model(self) -> "ModelOptions":
        """The same, without what is meant for one model only."""
        return replace(
            self,
            rope_scaling=None,
            rope_freq_base=None,
            rope_freq_scale=None,
            yarn_orig_ctx=None,
            lora=(),
            cut_n_ctx=True,
        )
