"""The client process: reads jobs from stdin, runs them against a server and writes what it saw.

It takes as little of the machine as it can, because the model runs there too: sockets, and nothing parsed in between.
"""

import gc
import json
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from mcp_llama.bench import mcp_wire, openai_wire
from mcp_llama.bench.door import Door
from mcp_llama.bench.http_door import HttpDoor
from mcp_llama.bench.job import Answer, Batch, Job, batch_line, read_jobs
from mcp_llama.bench.mcp_wire import McpWire
from mcp_llama.bench.openai_wire import OpenAIWire
from mcp_llama.bench.script import Script
from mcp_llama.bench.stdio_door import StdioDoor

_PATIENCE_S = 300.0


def run_jobs(jobs: Sequence[Job], door: Door, patience: float = _PATIENCE_S) -> list[Answer]:
    """Run a batch to its end, or until the server has been silent for `patience` seconds."""
    script = Script(jobs)
    while True:
        _act(script, jobs, door)
        due = script.next_action()
        if script.is_over:
            break
        timeout = patience if due is None else max(0.0, due - time.perf_counter())
        news = door.wait(timeout, count=not script.is_settled)
        if news is None and due is None:
            break
        for item in news or ():
            script.heard(item.number, item.events)
            if item.ended:
                script.ended(item.number)
    return door.answers(len(jobs))


def _act(script: Script, jobs: Sequence[Job], door: Door) -> None:
    for action, number in script.actions(time.perf_counter()):
        if action == "start":
            door.send(number, jobs[number])
            script.sent(number)
        else:
            door.cancel(number)
            script.ended(number)


def main() -> None:
    """Serve the process that started this one until stdin ends; the first line says whom to reach, and how."""
    gc.disable()
    signal.signal(signal.SIGTERM, _leave)
    place: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    if "command" in place:
        door = StdioDoor(place["command"])
        try:
            _serve(door, {"pid": door.pid})
        finally:
            door.close()
    else:
        _serve(_http_door(**place), {})


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End by the way that ends the server too."""
    sys.exit()


def _http_door(host: str, port: int, base: str, model: str | None, ignore_eos: bool) -> HttpDoor:
    if model is None:
        return HttpDoor(host, port, base, McpWire(), mcp_wire.EVENT)
    return HttpDoor(host, port, base, OpenAIWire(model, ignore_eos), openai_wire.EVENT)


def _serve(door: Door, hello: dict[str, Any]) -> None:
    _write(json.dumps(hello).encode() + b"\n")
    for line in sys.stdin.buffer:
        _write(batch_line(Batch(answers=tuple(run_jobs(read_jobs(line), door)))))
        gc.collect()


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
