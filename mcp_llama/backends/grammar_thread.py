"""GrammarThread: where grammars are compiled, so that they hold up neither the event loop nor the engine."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_STACK_BYTES = 64 * 2**20
"""llguidance compiles rules within rules by recursion; a grammar of the permitted size overruns 8 MB."""

T = TypeVar("T")


class GrammarThread:
    """One thread: a grammar that takes long must not take the processors from all else. Event loop only."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "grammar")

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns. A caller that leaves does not wait for it."""
        before = threading.stack_size(_STACK_BYTES)
        try:
            future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            threading.stack_size(before)
        return await future

    def close(self) -> None:
        """Drop what has not begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)
