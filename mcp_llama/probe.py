"""A tiny decode, to be run in a process of its own: `python -m mcp_llama.probe FILE.gguf`.

Prints one line of JSON. A build that the processor cannot run kills the process instead.
"""

import json
import sys
import time
from pathlib import Path

from mcp_llama.engine.llama import LlamaModel, ModelOptions
from mcp_llama.engine.model import Rows
from mcp_llama.errors import McpLlamaError

_PROMPT = "The quick brown fox jumps over the lazy dog. "
_PREFILL_TOKENS = 256
_DECODE_TOKENS = 16


def main(path: Path) -> None:
    """Load, prefill and decode; print how fast."""
    try:
        model = LlamaModel(path, ModelOptions(n_ctx=512, n_slots=1))
    except McpLlamaError as error:
        print(json.dumps({"error": str(error)}))
        return
    tokens = model.tokenize(_PROMPT * 64, add_special=True, parse_special=False)[:_PREFILL_TOKENS]
    began = time.perf_counter()
    model.decode(_rows(tokens, 0))
    prefilled = time.perf_counter()
    sampler = model.sampler(model.default_sampling.override({"temperature": 0, "seed": 0}), tokens)
    row = len(tokens) - 1
    for position in range(len(tokens), len(tokens) + _DECODE_TOKENS):
        model.decode(_rows([sampler.sample(row)], position))
        row = 0
    decoded = time.perf_counter()
    print(
        json.dumps(
            {
                "prefill_tokens_per_second": round(len(tokens) / (prefilled - began), 1),
                "decode_tokens_per_second": round(_DECODE_TOKENS / (decoded - prefilled), 1),
            }
        )
    )


def _rows(tokens: list[int], start: int) -> Rows:
    count = len(tokens)
    outputs = [False] * (count - 1) + [True]
    return Rows(list(tokens), list(range(start, start + count)), [0] * count, outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
