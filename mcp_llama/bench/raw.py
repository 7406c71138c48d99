"""The worker `raw`: a bare loop over llama.cpp, which is what the servers are compared with."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mcp_llama.bench.job import Batch, batch_line, read_jobs
from mcp_llama.bench.raw_loop import RawLoop
from mcp_llama.engine.llama import LlamaModel
from mcp_llama.errors import McpLlamaError
from mcp_llama.loading_flags import model_of

_Made = TypeVar("_Made")


def main(flags: Sequence[str]) -> None:
    """Load the model and run batches of jobs from stdin until it ends."""
    path, options = model_of(flags)
    try:
        model = _apart(lambda: LlamaModel(path, options))
    except McpLlamaError as error:
        sys.exit(str(error))
    _apart(lambda: _serve(model))


def _apart(work: Callable[[], _Made]) -> _Made:
    """Do some work on a thread that then ends: of two OpenMP teams in a process, each would slow the other down."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


def _serve(model: LlamaModel) -> None:
    loop = RawLoop(model)
    _write(b"{}\n")
    for line in sys.stdin.buffer:
        _write(batch_line(Batch(answers=tuple(loop.run(read_jobs(line))))))
    model.close()


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
