"""Noticing that the client of a tool call is gone, where the SDK does not."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol, cast

import anyio
from mcp.server.mcpserver import Context
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.types import Receive

from mcp_llama.server.progress import Progress

MCP_PATH = "/mcp"


class ClientGoneError(Exception):
    """The client hung up or stopped reading; nobody will see a result."""


class Sender(Protocol):
    """What hands messages over to a client."""

    sending_since: float | None
    """When the message that the client has not taken yet was handed over, in `time.monotonic()`."""


@asynccontextmanager
async def while_client_listens(context: Context, progress: Progress, stall_timeout: float) -> AsyncGenerator[None]:
    """Cancel the body when the client hangs up, or takes no notification for `stall_timeout` seconds.

    Raises:
        ClientGoneError: that happened.
    """
    request = cast(Request | None, context.request_context.request)
    with anyio.CancelScope() as scope:
        watchers = [asyncio.create_task(watch_stall(progress, stall_timeout, scope))]
        if request is not None and _is_unwatched(request, context.protocol_version):
            watchers.append(asyncio.create_task(_watch_disconnect(request.receive, scope)))
        try:
            yield
        finally:
            for watcher in watchers:
                watcher.cancel()
    if scope.cancelled_caught:
        raise ClientGoneError


@asynccontextmanager
async def disconnect_cancels(receive: Receive, scope: anyio.CancelScope) -> AsyncGenerator[None]:
    """Cancel a scope when the client hangs up during the body."""
    watcher = asyncio.create_task(_watch_disconnect(receive, scope))
    try:
        yield
    finally:
        watcher.cancel()


def _is_unwatched(request: Request, protocol_version: str | None) -> bool:
    """Whether the SDK leaves a hang-up unnoticed: in a legacy session of Streamable HTTP.

    The SSE transport must not be watched: its request is a POST that ended before the call began.
    """
    return request.url.path == MCP_PATH and protocol_version not in MODERN_PROTOCOL_VERSIONS


async def _watch_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def watch_stall(sender: Sender, stall_timeout: float, scope: anyio.CancelScope) -> None:
    """Cancel a scope when the client has taken nothing for `stall_timeout` seconds."""
    while True:
        since = sender.sending_since
        left = stall_timeout if since is None else since + stall_timeout - time.monotonic()
        if left <= 0:
            scope.cancel()
            return
        await asyncio.sleep(left)
