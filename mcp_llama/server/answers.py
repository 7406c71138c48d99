"""Answers: plain HTTP responses that end when their reader leaves."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from fastapi import Request
from fastapi.responses import Response

from mcp_llama.api import Result
from mcp_llama.errors import UnavailableError
from mcp_llama.server.calls import Calls
from mcp_llama.server.client_watch import ClientGoneError, disconnect_cancels
from mcp_llama.server.sse import Events, EventStream, StreamClocks

_RETRY_AFTER_S = 5.0


class Answers:
    """Makes responses, and counts those that are on their way."""

    def __init__(self, calls: Calls, clocks: StreamClocks) -> None:
        self._calls = calls
        self._clocks = clocks

    def stream(self, produce: Callable[[Events], Awaitable[None]]) -> Response:
        """A response of events, which `produce` sends."""
        return EventStream(produce, self._calls, self._clocks)

    async def whole(self, request: Request, work: Callable[[], Awaitable[Any]]) -> Any:
        """What `work` returns, unless the client hangs up first, which cancels it.

        Raises:
            ClientGoneError: the client hung up.
        """
        with self._calls.running(), anyio.CancelScope() as scope:
            async with disconnect_cancels(request.receive, scope):
                return await work()
        raise ClientGoneError


async def json_response(data: object) -> Response:
    """A response whose body may be large: it is encoded off the event loop, where streams go on."""
    body = await anyio.to_thread.run_sync(partial(json.dumps, data, ensure_ascii=False, separators=(",", ":")))
    return Response(body, media_type="application/json")


def check_complete(result: Result) -> Result:
    """The result, if nothing but its own limits ended it.

    Raises:
        UnavailableError: the server ended it, because it stops or because nobody read it.
    """
    if result.finish_reason == "abort":
        raise UnavailableError("this generation was ended before it was complete", _RETRY_AFTER_S)
    return result
