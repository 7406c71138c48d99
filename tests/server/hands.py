"""Hands: a Stage as a test holds it, in this process or another."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from tests.gate import PATIENCE_S
from tests.server.stage import End


class Hands:
    """A Stage's methods for a test, wherever the stage is. `ask` calls a method of it by name."""

    def __init__(self, ask: Callable[..., Awaitable[Any]]) -> None:
        self._ask = ask

    async def finish_load(self) -> None:
        """Let the load end."""
        await self._ask("finish_load")

    async def shut(self) -> None:
        """Hold every decode from now on."""
        await self._ask("shut")

    async def open(self) -> None:
        """Let all decodes go."""
        await self._ask("open")

    async def step(self) -> None:
        """Let the held decode go."""
        await self._ask("step")

    async def held(self) -> None:
        """Wait until a decode is held."""
        await self._ask("held")

    async def decodes(self) -> int:
        """How many decodes began."""
        return await self._ask("decodes")

    async def quiet(self) -> None:
        """Wait until the engine has computed nothing for a while, because nobody reads what it has."""
        await self._ask("quiet")

    async def running(self) -> int:
        """How many sequences have a slot."""
        return await self._ask("running")

    async def made(self, count: int) -> None:
        """Wait until so many generations are made, whatever becomes of them."""
        await self._ask("made", count)

    async def open_constraints(self) -> int:
        """How many of the generations that were made have a matcher that is not freed."""
        return await self._ask("open_constraints")

    async def ended(self, count: int) -> list[End]:
        """Wait until so many sequences have ended; how they did, in order."""
        return await self._ask("ended", count)

    async def stopped(self, count: int) -> None:
        """Wait until the callers of so many generations have left them."""
        await self._ask("stopped", count)

    async def awaited(self) -> None:
        """Wait until a call waits for the model."""
        await self._ask("awaited")

    async def deserted(self) -> None:
        """Wait until no call waits for the model."""
        await self._ask("deserted")

    async def closed(self) -> None:
        """Wait until the model is freed, which is the last thing that a server does."""
        await self._ask("closed")

    async def advance_until(self, wanted: Callable[[dict[int, int]], bool]) -> None:
        """Let decodes go, one by one, until one is held whose rows by slot are as wanted."""
        with anyio.fail_after(PATIENCE_S):
            await self.held()
            while not wanted(await self._ask("last_rows")):
                await self.step()
                await self.held()
