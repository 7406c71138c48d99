"""The worker `engine`: the engine with its reader in one process, without any protocol."""

import asyncio
import sys
import time
from collections.abc import Sequence
from functools import partial

from anyio import to_thread
from prometheus_client import CollectorRegistry

from mcp_llama import event_loop
from mcp_llama.api import GenerateRequest, Limits, OutputFormat
from mcp_llama.backends.local import LocalBackend
from mcp_llama.bench.job import Answer, Batch, Job, Usage, batch_line, read_jobs
from mcp_llama.bench.openai_wire import TEMPERATURE
from mcp_llama.bench.script import Script
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.llama import LlamaModel
from mcp_llama.engine.types import TokenDelta
from mcp_llama.errors import McpLlamaError
from mcp_llama.loading_flags import model_of
from mcp_llama.models.pool import ModelPool
from mcp_llama.models.source import ModelSource

LLAMA_CPU = "mcp_llama_llama_cpu_seconds_total"
"""The counter of the CPU time inside llama.cpp."""


class InProcess:
    """Runs one batch. Event loop only."""

    def __init__(self, backend: LocalBackend, jobs: Sequence[Job]) -> None:
        self._backend = backend
        self._jobs = jobs
        self._script = Script(jobs)
        self._generations: dict[int, Generation] = {}
        self._cancelled: dict[int, float] = {}
        self._answers: dict[int, Answer] = {}
        self._changed = asyncio.Event()

    async def run(self) -> list[Answer]:
        """Run all jobs to their ends."""
        async with asyncio.TaskGroup() as tasks:
            while not self._script.is_over:
                self._changed.clear()
                for action, number in self._script.actions(time.monotonic()):
                    if action == "start":
                        tasks.create_task(self._read(number))
                    else:
                        self._cancelled[number] = time.monotonic()
                        self._generations[number].stop()
                await self._wait()
        return [self._answers[number] for number in range(len(self._jobs))]

    async def _wait(self) -> None:
        due = self._script.next_action()
        timer = None if due is None else asyncio.get_running_loop().call_at(due, self._changed.set)
        await self._changed.wait()
        if timer is not None:
            timer.cancel()

    async def _read(self, number: int) -> None:
        sent = time.monotonic()
        try:
            self._answers[number] = await self._answer(number, sent)
        except McpLlamaError as error:
            self._answers[number] = Answer(sent=sent, error=str(error))
        self._script.ended(number)
        self._changed.set()

    async def _answer(self, number: int, sent: float) -> Answer:
        arrivals: list[float] = []
        last = TokenDelta("", 0, 0)
        async with await self._backend.generate(_request(self._jobs[number])) as generation:
            self._generations[number] = generation
            self._script.sent(number)
            self._changed.set()
            async for delta in generation:
                if delta.completion_tokens > last.completion_tokens:
                    arrivals.append(time.monotonic())
                    self._heard(number)
                last = delta
            result = await generation.result()
        usage = result.usage
        return Answer(
            sent=sent,
            arrivals=tuple(arrivals),
            text=result.text,
            usage=Usage(prompt=usage.prompt_tokens, completion=usage.completion_tokens, cached=usage.cached_tokens),
            admitted=last.admitted,
            cancelled=self._cancelled.get(number),
        )

    def _heard(self, number: int) -> None:
        self._script.heard(number, 1)
        if not self._script.is_settled:
            self._changed.set()


def _request(job: Job) -> GenerateRequest:
    sampling: dict[str, object] = {"seed": job.seed, "temperature": TEMPERATURE, "ignore_eos": job.schema is None}
    form = None if job.schema is None else OutputFormat("json_schema", job.schema)
    return GenerateRequest(prompt=job.prompt, limits=Limits(max_tokens=job.max_tokens), sampling=sampling, format=form)


def outside_llama(metrics: CollectorRegistry) -> float | None:
    """This process's CPU time outside llama.cpp so far; None if nobody counts the time inside."""
    inside = metrics.get_sample_value(LLAMA_CPU)
    return None if inside is None else time.process_time() - inside


async def serve(backend: LocalBackend) -> None:
    """Run batches of jobs from stdin until it ends."""
    await backend.ready(None)
    _write(b"{}\n")
    while line := await to_thread.run_sync(sys.stdin.buffer.readline):
        before = outside_llama(backend.metrics)
        answers = await InProcess(backend, read_jobs(line)).run()
        after = outside_llama(backend.metrics)
        cpu_s = None if before is None or after is None else after - before
        _write(batch_line(Batch(answers=tuple(answers), cpu_s=cpu_s)))
    await backend.close()


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def main(flags: Sequence[str]) -> None:
    """Load the model and serve."""
    path, options = model_of(flags)
    source = ModelSource(name=path.stem, load=partial(LlamaModel, path, options))
    try:
        event_loop.run(serve(LocalBackend(ModelPool(source))))
    except McpLlamaError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
