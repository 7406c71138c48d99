"""Calls: how many requests are being answered, for a shutdown that waits for them. Event loop only."""

from collections.abc import Generator
from contextlib import contextmanager

import anyio


class Calls:
    """Counts the calls that run, whatever door they came through."""

    def __init__(self) -> None:
        self._running = 0
        self._idle = anyio.Event()
        self._idle.set()

    @contextmanager
    def running(self) -> Generator[None]:
        """Count a call for the time of the body."""
        if not self._running:
            self._idle = anyio.Event()
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def idle(self) -> None:
        """Wait until no call runs."""
        await self._idle.wait()
