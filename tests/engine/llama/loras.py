"""Small LoRA adapters for the embedded model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGUFValueType, GGUFWriter

WIDTH = 576
"""The values of an embedding of SmolLM2-135M, and of all its queries together."""
N_LAYERS = 30

Pair = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def random_pairs(seed: int, rank: int = 4, width: int = WIDTH) -> list[Pair]:
    """A change of the queries of each layer, as two factors."""
    random = np.random.default_rng(seed)
    return [
        (
            random.normal(0, 0.1, (rank, width)).astype(np.float32),
            random.normal(0, 0.1, (width, rank)).astype(np.float32),
        )
        for _ in range(N_LAYERS)
    ]


def joined(one: Sequence[Pair], other: Sequence[Pair]) -> list[Pair]:
    """The sum of two changes."""
    return [(np.vstack([a, c]), np.hstack([b, d])) for (a, b), (c, d) in zip(one, other, strict=True)]


def write_lora(
    path: Path,
    pairs: Sequence[Pair],
    *,
    architecture: str = "llama",
    kind: str = "adapter",
    tensor: str = "attn_q",
    invoked_by: Sequence[int] = (),
) -> Path:
    """Write a file as llama.cpp's convert_lora_to_gguf.py does."""
    writer = GGUFWriter(path, architecture)
    writer.add_type(kind)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(len(pairs[0][0])))
    if invoked_by:
        tokens = "adapter.alora.invocation_tokens"
        writer.add_key_value(tokens, list(invoked_by), GGUFValueType.ARRAY, GGUFValueType.UINT32)
    for number, (a, b) in enumerate(pairs):
        writer.add_tensor(f"blk.{number}.{tensor}.weight.lora_a", a)
        writer.add_tensor(f"blk.{number}.{tensor}.weight.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
