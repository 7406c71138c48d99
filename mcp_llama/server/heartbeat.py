"""Signs of life, while a tool call waits for something that sends none."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
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


async def beat_until_ready(
    backend: Backend, model: str | None, progress: Progress, *, interval_s: float, patience_s: float
) -> str:
    """Wait until a model can answer; returns its name.

    Raises:
        UnavailableError: it cannot so soon.
        RequestError: no model of that name is served.
        ModelLoadError: it could not be loaded.
    """

    async def beat() -> None:
        progress.loaded = backend.status(model).loaded
        await progress.beat()

    with anyio.move_on_after(patience_s):
        return await beating(backend.ready(model), beat, interval_s)
    raise loading_error(backend, model)
