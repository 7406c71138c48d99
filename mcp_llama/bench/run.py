"""The run: every turn of a plan, one after the other."""

from collections.abc import Callable

from mcp_llama.bench.event import Event, Turn
from mcp_llama.bench.plan import TARGETS, WORKLOADS, Plan
from mcp_llama.bench.record import Measurement

__all__ = ["TARGETS", "WORKLOADS", "Event", "Plan", "Turn", "run"]


async def run(plan: Plan, on_event: Callable[[Event], None]) -> tuple[tuple[Measurement, ...], tuple[str, ...]]:
    """Measure every turn of the plan; the measurements, and the failures in words.

    A turn that fails does not end the run. However the run ends, it leaves no process behind.
    """
    raise NotImplementedError
