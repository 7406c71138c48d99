"""Pool: the targets that are open. They stay open between their turns while memory lasts."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import psutil

from mcp_llama.bench.failure import TurnError
from mcp_llama.bench.plan import Plan
from mcp_llama.bench.resources import memory
from mcp_llama.bench.target import Target, open_target
from mcp_llama.gguf_parts import size_of

_MARGIN = 1.5


class Pool:
    """Opens targets when they are asked for; leaving closes them all."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._open: dict[str, tuple[Target, AsyncExitStack]] = {}
        self._broken: dict[str, str] = {}
        # Until one has been seen: the weights, and about as much again for the KV cache and buffers.
        self._needed = 2 * size_of(plan.model)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        last = AsyncExitStack()
        for _, stack in self._open.values():
            last.push_async_exit(stack)
        # An exception reaches every target, which then waits for nothing.
        await last.__aexit__(exc_type, exc, traceback)

    async def target(self, name: str) -> Target:
        """A target, open.

        Raises:
            TurnError: it cannot be opened. It is not tried again.
        """
        if name in self._broken:
            raise TurnError(self._broken[name])
        if name in self._open and self._open[name][0].is_alive:
            return self._open[name][0]
        await self._close(name)
        if _free_memory() < self._needed * _MARGIN:
            await self._close_all()
        try:
            return await self._opened(name)
        except TurnError as error:
            self._broken[name] = str(error)
            raise

    async def _opened(self, name: str) -> Target:
        async with AsyncExitStack() as stack:
            target = await stack.enter_async_context(open_target(name, self._plan))
            self._open[name] = (target, stack.pop_all())
        if target.measured is not None:
            self._needed = max(self._needed, memory(target.measured) or 0)
        return target

    async def _close(self, name: str) -> None:
        if name in self._open:
            _, stack = self._open.pop(name)
            await stack.aclose()

    async def _close_all(self) -> None:
        for name in list(self._open):
            await self._close(name)


def _free_memory() -> int:
    return psutil.virtual_memory().available
