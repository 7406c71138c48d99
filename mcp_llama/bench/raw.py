"""The worker `raw`: a bare loop over llama.cpp, which is what the servers are compared with."""

import sys
import threading
from collections.abc import Callable, Sequence

from mcp_llama.bench.job import Batch, batch_line, read_jobs
from mcp_llama.bench.options import model_of
from mcp_llama.bench.raw_loop import RawLoop
from mcp_llama.engine.llama import LlamaModel


def main(flags: Sequence[str]) -> None:
    """Load the model and run batches of jobs from stdin until it ends."""
    path, options = model_of(flags)
    loaded: list[LlamaModel] = []
    _run_apart(lambda: loaded.append(LlamaModel(path, options)))
    if loaded:
        _run_apart(lambda: _serve(loaded[0]))


def _run_apart(work: Callable[[], None]) -> None:
    """Do some work on a thread that then ends: of two OpenMP teams in a process, each would slow the other down."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


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
