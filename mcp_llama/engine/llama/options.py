"""How a model is loaded."""

from dataclasses import dataclass
from typing import Literal

from mcp_llama.engine.model import Pooling

FlashAttention = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """llama.cpp's options. `n_ctx` is the context of one slot; None lets the model and the machine decide.

    With `n_cells`, all slots share a KV cache of so many cells; else each has a lane of `n_ctx` cells.
    `visible_tokens` are control tokens that show in texts by their names.
    """

    n_ctx: int | None = None
    n_slots: int | None = None
    n_cells: int | None = None
    n_batch: int = 512
    n_threads: int | None = None
    n_gpu_layers: int = 0
    flash_attn: FlashAttention = "auto"
    pooling: Pooling | None = None
    visible_tokens: tuple[str, ...] = ()
