"""A model of one layer with random weights and the vocabulary of the embedded one."""

from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter

_EMBEDDING, _HEADS, _FEED_FORWARD = 96, 2, 64


def write_tiny(source: Path, target: Path, head: int | None = None) -> Path:
    """Write one whose keys and values have this size in each head; by default, as the embedding has it, 48."""
    width = _HEADS * (head or _EMBEDDING // _HEADS)
    changed = {
        "llama.block_count": 1,
        "llama.embedding_length": _EMBEDDING,
        "llama.feed_forward_length": _FEED_FORWARD,
        "llama.attention.head_count": _HEADS,
        "llama.attention.head_count_kv": _HEADS,
        "llama.rope.dimension_count": width // _HEADS,
    }
    writer = GGUFWriter(target, "llama")
    vocabulary = 0
    for name, field in GGUFReader(source).fields.items():
        if name == "tokenizer.ggml.tokens":
            vocabulary = len(field.data)
        if not name.startswith("GGUF.") and name != "general.architecture":
            kind, *inner = field.types
            content = changed[name] if name in changed else field.contents()
            writer.add_key_value(name, content, kind, inner[-1] if kind == GGUFValueType.ARRAY else None)
    if head is not None:
        writer.add_key_length(head)
        writer.add_value_length(head)
    shapes = {
        "token_embd": (vocabulary, _EMBEDDING),
        "output_norm": (_EMBEDDING,),
        "blk.0.attn_norm": (_EMBEDDING,),
        "blk.0.ffn_norm": (_EMBEDDING,),
        "blk.0.attn_q": (width, _EMBEDDING),
        "blk.0.attn_k": (width, _EMBEDDING),
        "blk.0.attn_v": (width, _EMBEDDING),
        "blk.0.attn_output": (_EMBEDDING, width),
        "blk.0.ffn_gate": (_FEED_FORWARD, _EMBEDDING),
        "blk.0.ffn_up": (_FEED_FORWARD, _EMBEDDING),
        "blk.0.ffn_down": (_EMBEDDING, _FEED_FORWARD),
    }
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.1, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
