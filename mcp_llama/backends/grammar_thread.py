"""GrammarThread: where grammars are compiled, so that they hold up neither the event loop nor the engine."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mcp_llama.errors import UnavailableError

_STACK_BYTES = 64 * 2**20
"""llguidance compiles rules within rules by recursion; a grammar of the permitted size overruns 8 MB."""

_RETRY_AFTER_S = 5.0

T = TypeVar("T")


class GrammarThread:
    """One thread: a grammar that takes long must not take the processors from all else. Event loop only."""

    def __init__(self) -> None:
        self._closed = False
        self._executor = ThreadPoolExecutor(1, "grammar")

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns. A caller that leaves does not wait for it.

        Raises:
            UnavailableError: the server is stopping.
        """
        if self._closed:
            raise UnavailableError("the server is stopping", retry_after_s=_RETRY_AFTER_S)
        before = threading.stack_size(_STACK_BYTES)
        try:
            future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            threading.stack_size(before)
        return await future

    def close(self) -> None:
        """Take no more. What is waiting is done still: each piece takes a second at most."""
        self._closed = True
        self._executor.shutdown(wait=False)
