"""Signals that reach the event loop, also under Windows, where asyncio has no handlers for them."""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def calling(handler: Callable[[], None], *signals: signal.Signals) -> Generator[None]:
    """Call `handler` on the running loop whenever one of these comes, instead of what it did before.

    Only the main thread hears signals: in any other this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def heard(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(handler)

    before = {number: signal.signal(number, heard) for number in signals}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
