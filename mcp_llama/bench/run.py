"""The run: every turn of a plan, one after the other."""

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

from mcp_llama.bench.event import Event, Turn
from mcp_llama.bench.failure import TurnError
from mcp_llama.bench.plan import TARGETS, WORKLOADS, Plan
from mcp_llama.bench.pool import Pool
from mcp_llama.bench.record import Measurement
from mcp_llama.bench.workload import measure
from mcp_llama.signals import calling

__all__ = ["TARGETS", "WORKLOADS", "Event", "Plan", "Turn", "run"]


async def run(plan: Plan, on_event: Callable[[Event], None]) -> tuple[tuple[Measurement, ...], tuple[str, ...]]:
    """Measure every turn of the plan; the measurements, and the failures in words.

    A turn that fails does not end the run. However the run ends, it leaves no process behind.
    """
    with _ending_in_order():
        return await _run(plan, on_event)


async def _run(plan: Plan, on_event: Callable[[Event], None]) -> tuple[tuple[Measurement, ...], tuple[str, ...]]:
    turns = plan.turns()
    measurements: list[Measurement] = []
    # A target that never opens fails in all its turns with the same words.
    failures: dict[str, None] = {}
    async with Pool(plan) as pool:
        for done, turn in enumerate(turns):
            on_event(Event(turn=turn, done=done, total=len(turns)))
            try:
                measured = await _measured(pool, plan, turn)
            except TurnError as error:
                failure = f"{turn.target}, {turn.workload}, {turn.streams} streams: {error}"
                failures[failure] = None
                on_event(Event(turn=turn, done=done + 1, total=len(turns), failure=failure))
                continue
            measurements.append(measured)
            on_event(Event(turn=turn, done=done + 1, total=len(turns), measurement=measured))
    return tuple(measurements), tuple(failures)


@contextmanager
def _ending_in_order() -> Generator[None]:
    """Let SIGTERM end this process only after the others."""
    task = asyncio.current_task()
    assert task is not None
    heard = list[signal.Signals]()

    def end() -> None:
        heard.append(signal.SIGTERM)
        task.cancel()

    try:
        with calling(end, signal.SIGTERM):
            yield
    finally:
        for number in heard:
            signal.raise_signal(number)


async def _measured(pool: Pool, plan: Plan, turn: Turn) -> Measurement:
    return await measure(await pool.target(turn.target), plan, turn)
