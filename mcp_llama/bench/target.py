"""Target: one of the things that are compared, open and ready for batches of jobs."""

import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from mcp_llama.bench.child import Child, child
from mcp_llama.bench.failure import TurnError
from mcp_llama.bench.job import Answer, Job
from mcp_llama.bench.plan import Plan
from mcp_llama.bench.record import RAW
from mcp_llama.bench.resources import cpu_seconds, forget_peak, is_running, memory
from mcp_llama.bench.served import Address, address_of, llama_cpu, model_name, served

_WARM_UP_TOKENS = 8
_CLOSE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answers to a batch, and what the target took for them: CPU time outside llama.cpp, and memory."""

    answers: tuple[Answer, ...]
    cpu_s: float | None
    peak_memory: int | None


async def _unknown() -> float | None:
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """The worker that runs the jobs, the process that is measured, and where its time inside llama.cpp is read."""

    worker: Child
    measured: int | None = None
    inside: Callable[[], Awaitable[float | None]] = _unknown

    @property
    def is_alive(self) -> bool:
        """Whether its processes run."""
        return self.worker.is_alive and (self.measured is None or is_running(self.measured))

    async def run(self, jobs: Sequence[Job]) -> Outcome:
        """Run a batch.

        Raises:
            TurnError: a process ended.
        """
        if self.measured is not None:
            forget_peak(self.measured)
        before = await self._outside()
        batch = await self.worker.run(jobs)
        cpu_s = batch.cpu_s if before is None else _difference(before, await self._outside())
        peak = None if self.measured is None else memory(self.measured)
        return Outcome(answers=batch.answers, cpu_s=cpu_s, peak_memory=peak)

    async def _outside(self) -> float | None:
        inside = await self.inside()
        return None if inside is None or self.measured is None else _difference(inside, cpu_seconds(self.measured))


def _difference(before: float, after: float | None) -> float | None:
    return None if after is None else after - before


def open_target(name: str, plan: Plan) -> AbstractAsyncContextManager[Target]:
    """A target that has answered its first call. Leaving ends its processes.

    Entering raises:
        TurnError: it does not start or does not answer.
    """
    against = dict(plan.against)
    if name in against:
        return _against(against[name])
    if name in (RAW, "engine"):
        return _loaded_in_worker(name, plan.flags)
    if name == "mcp-stdio":
        return _over_stdio(plan.flags)
    return _over_http(name, plan.flags)


@asynccontextmanager
async def _loaded_in_worker(name: str, flags: Sequence[str]) -> AsyncGenerator[Target]:
    module = "mcp_llama.bench.raw" if name == RAW else "mcp_llama.bench.inprocess"
    async with child(f"the process of {name}", [sys.executable, "-m", module, *flags], patience=_CLOSE_S) as worker:
        await worker.line()
        target = Target(worker, worker.pid)
        await _warm_up(target)
        yield target


@asynccontextmanager
async def _over_stdio(flags: Sequence[str]) -> AsyncGenerator[Target]:
    command = [sys.executable, "-m", "mcp_llama", "stdio", *flags]
    async with _client({"command": command}) as (worker, hello):
        target = Target(worker, hello["pid"])
        try:
            await _warm_up(target)
        except TurnError as error:
            raise TurnError(f"{error}: {worker.last_words()}") from None
        yield target


@asynccontextmanager
async def _over_http(name: str, flags: Sequence[str]) -> AsyncGenerator[Target]:
    async with served(flags) as (server, address):
        model = await model_name(address) if name == "v1" else None
        async with _client(_place(address, model, ignore_eos=True)) as (worker, _):

            async def inside() -> float | None:
                return await llama_cpu(address)

            target = Target(worker, server.pid, inside)
            await _warm_up(target)
            yield target


@asynccontextmanager
async def _against(url: str) -> AsyncGenerator[Target]:
    address = address_of(url)
    model = await model_name(address)
    ignore_eos = await _knows_ignore_eos(address, model)
    async with _client(_place(address, model, ignore_eos=ignore_eos)) as (worker, _):
        target = Target(worker)
        await _warm_up(target)
        yield target


async def _knows_ignore_eos(address: Address, model: str) -> bool:
    async with _client(_place(address, model, ignore_eos=True)) as (worker, _):
        error = (await worker.run([_FIRST])).answers[0].error
        return error is None or "ignore_eos" not in error


def _place(address: Address, model: str | None, *, ignore_eos: bool) -> dict[str, Any]:
    base = address.base.removesuffix("/v1") if model is None else address.base
    return {"host": address.host, "port": address.port, "base": base, "model": model, "ignore_eos": ignore_eos}


@asynccontextmanager
async def _client(place: dict[str, Any]) -> AsyncGenerator[tuple[Child, dict[str, Any]]]:
    async with child("the client", [sys.executable, "-m", "mcp_llama.bench.client"], patience=_CLOSE_S) as worker:
        await worker.write(json.dumps(place).encode() + b"\n")
        yield worker, json.loads(await worker.line())


_FIRST = Job(prompt="Once upon a time", max_tokens=_WARM_UP_TOKENS, seed=1)


async def _warm_up(target: Target) -> None:
    """One call, which pays for all that happens once."""
    (answer,) = (await target.run([_FIRST])).answers
    if answer.error is not None:
        raise TurnError(answer.error)
