"""Signs of life, while a tool call waits for something that sends none."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import anyio

from mcp_llama.backends.backend import Backend
from mcp_llama.server.loading import loading_error
from mcp_llama.server.progress import Progress

T = TypeVar("T")


async def beating(work: Coroutine[Any, Any, T], beat: Callable[[], Awaitable[None]], interval_s: float) -> T:
    """What work gives, with a beat every so many seconds until then; leaving early cancels it."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait([task], timeout=interval_s))[0]:
            await beat()
        return task.result()
    finally:
        task.cancel()


@asynccontextmanager
async def beating_until_held(
    backend: Backend, model: str | None, progress: Progress, *, interval_s: float, patience_s: float
) -> AsyncGenerator[str]:
    """Wait until a model can answer, and keep it for the time of the body; gives its name.

    Raises:
        UnavailableError: it cannot so soon.
        RequestError: no model of that name is served, or several could be meant.
        ModelLoadError: it could not be loaded.
    """

    async def beat() -> None:
        progress.loaded = backend.status(model).loaded
        await progress.beat()

    async with AsyncExitStack() as stack:
        name = None
        with anyio.move_on_after(patience_s):
            # What the work has entered is left with the stack, also where nobody takes its result any more.
            name = await beating(stack.enter_async_context(backend.hold(model)), beat, interval_s)
        if name is None:
            raise loading_error(backend, model)
        yield name
