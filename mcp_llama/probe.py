"""A tiny decode, to be run in a process of its own: `python -m mcp_llama.probe --model FILE.gguf FLAGS`.

FLAGS are those of ModelSettings. Prints one line of JSON, a Report or a Failure. A build that the processor
cannot run kills the process instead.
"""

import sys
import time
from pathlib import Path

from pydantic import BaseModel

from mcp_llama.engine.llama import LlamaModel, ModelOptions
from mcp_llama.engine.model import Rows
from mcp_llama.errors import McpLlamaError
from mcp_llama.loading_flags import model_of

_PROMPT = "The quick brown fox jumps over the lazy dog. " * 64
_MAX_PREFILL_TOKENS = 256
_MAX_DECODE_TOKENS = 16


class Report(BaseModel):
    """How fast the decode was."""

    prefill_tokens_per_second: float
    decode_tokens_per_second: float


class Failure(BaseModel):
    """Why there was no decode."""

    error: str


def main(path: Path, options: ModelOptions) -> Report | Failure:
    """Load, prefill and decode."""
    try:
        model = LlamaModel(path, options)
    except McpLlamaError as error:
        return Failure(error=str(error))
    tokens = model.tokenize(_PROMPT, add_special=True, parse_special=False)
    tokens = tokens[: min(_MAX_PREFILL_TOKENS, model.n_ctx // 2, model.n_batch)]
    began = time.perf_counter()
    model.decode(_rows(tokens, 0))
    prefilled = time.perf_counter()
    sampler = model.sampler(model.default_sampling.override({"temperature": 0, "seed": 0}), tokens)
    row, decodes = len(tokens) - 1, min(_MAX_DECODE_TOKENS, len(tokens))
    for position in range(len(tokens), len(tokens) + decodes):
        model.decode(_rows([sampler.sample(row)], position))
        row = 0
    decoded = time.perf_counter()
    return Report(
        prefill_tokens_per_second=round(len(tokens) / (prefilled - began), 1),
        decode_tokens_per_second=round(decodes / (decoded - prefilled), 1),
    )


def _rows(tokens: list[int], start: int) -> Rows:
    count = len(tokens)
    return Rows(list(tokens), list(range(start, start + count)), [0] * count, [False] * (count - 1) + [True])


if __name__ == "__main__":
    print(main(*model_of(sys.argv[1:])).model_dump_json())
