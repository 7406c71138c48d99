"""The event loop that both servers run on: uvloop, or asyncio's own where that does not exist."""

import asyncio
from collections.abc import Coroutine
from importlib.util import find_spec
from typing import Any, TypeVar

Outcome = TypeVar("Outcome")


def run(main: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Run a coroutine to its end on a new event loop."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Any:
    # uvloop does not exist for Windows.
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop
