"""EventStream: a text/event-stream response, an event a token, flushed at once. Event loop only."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mcp_llama.errors import McpLlamaError
from mcp_llama.server.calls import Calls
from mcp_llama.server.client_watch import disconnect_cancels, watch_stall
from mcp_llama.server.errors import body_of, internal_error_body

logger = logging.getLogger(__name__)

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # Proxies that compress or buffer would hold tokens back.
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_LINE_ENDS = {ord(char): f"\\u{ord(char):04x}" for char in "\x85\u2028\u2029"}
_STALL_GRACE_S = 1.0
"""The engine notices a stalled reader by itself, and says so in its metrics; this is for what it does not see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamClocks:
    """Seconds. `ping_s` without an event until a comment shows a sign of life, 0 for never."""

    ping_s: float
    stall_timeout: float


class Events:
    """Writes the events of one response."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.began = False
        self.sent_at = time.monotonic()
        self.sending_since: float | None = None
        """When the bytes that the client has not taken yet were handed over, in `time.monotonic()`."""

    async def begin(self) -> None:
        """Send the headers; what goes wrong from now on becomes an event."""
        self.began = True
        await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        # The first bytes of the body make servers and proxies pass the headers on.
        await self._write(b": open\n\n")

    async def send(self, data: object) -> None:
        """Send an event of JSON data."""
        await self._write(b"data: " + _json(data) + b"\n\n")

    async def ping(self) -> None:
        """Send a comment, which readers skip."""
        await self._write(b": ping\n\n")

    async def fail(self, body: object) -> None:
        """Send an event that says what went wrong."""
        await self._write(b"event: error\ndata: " + _json(body) + b"\n\n")

    async def done(self) -> None:
        """Send the event that ends a stream in which nothing went wrong."""
        await self._write(b"data: [DONE]\n\n")

    async def end(self) -> None:
        """End the body."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, body: bytes) -> None:
        self.sending_since = self.sent_at = time.monotonic()
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        self.sending_since = None


class EventStream(Response):
    """Runs `produce`, which sends the events, until it ends or the client is gone or stalled.

    An error before `Events.begin` is raised, so that it becomes a plain response; a later one becomes an event.
    """

    def __init__(self, produce: Callable[[Events], Awaitable[None]], calls: Calls, clocks: StreamClocks) -> None:
        super().__init__()
        self._produce = produce
        self._calls = calls
        self._clocks = clocks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        events = Events(send)
        with self._calls.running():
            async with _watched(events, receive, self._clocks):
                await self._run(events)

    async def _run(self, events: Events) -> None:
        try:
            await self._produce(events)
            await events.done()
        except McpLlamaError as error:
            if not events.began:
                raise
            await events.fail(body_of(error))
        except Exception:
            # The headers are out: only an event can still tell the client that no more is to come.
            if not events.began:
                raise
            logger.exception("A stream failed")
            await events.fail(internal_error_body())
        await events.end()


@asynccontextmanager
async def _watched(events: Events, receive: Receive, clocks: StreamClocks) -> AsyncGenerator[None]:
    """Cancel the body, quietly, when the client hangs up or takes nothing for too long; meanwhile send pings."""
    with anyio.CancelScope() as scope:
        watchers = [
            asyncio.create_task(watch_stall(events, clocks.stall_timeout + _STALL_GRACE_S, scope)),
        ]
        if clocks.ping_s:
            watchers.append(asyncio.create_task(_ping(events, clocks.ping_s)))
        try:
            async with disconnect_cancels(receive, scope):
                yield
        finally:
            for watcher in watchers:
                watcher.cancel()


async def _ping(events: Events, interval: float) -> None:
    while True:
        left = events.sent_at + interval - time.monotonic()
        if left > 0:
            await asyncio.sleep(left)
        elif events.began and events.sending_since is None:
            await events.ping()
        else:
            await asyncio.sleep(interval)


def _json(data: object) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # They end no line of an event stream, but many readers cut it as Python's `splitlines` does.
    return text.translate(_LINE_ENDS).encode()
