"""Several generations of one request, side by side."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import anyio

from mcp_llama.engine.generation import Generation

T = TypeVar("T")
R = TypeVar("R")


@asynccontextmanager
async def entered(generations: Sequence[Generation]) -> AsyncGenerator[None]:
    """All generations submitted; none of them goes on after the body."""
    async with AsyncExitStack() as stack:
        for generation in generations:
            await stack.enter_async_context(generation)
        yield


async def each(work: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
    """What `work` returns for each item, all of them at work at once."""
    if len(items) == 1:
        return [await work(items[0])]
    results: dict[int, R] = {}

    async def run(number: int, item: T) -> None:
        results[number] = await work(item)

    try:
        async with anyio.create_task_group() as tasks:
            for number, item in enumerate(items):
                tasks.start_soon(run, number, item)
    except ExceptionGroup as group:
        # One failure fails the request; the others are the same one, or came of it.
        raise group.exceptions[0] from None
    return [results[number] for number in range(len(items))]
