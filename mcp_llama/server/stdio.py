"""MCP over stdin and stdout, with nothing else ever on stdout."""

import io
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp_types import RequestId
from typing_extensions import Buffer

from mcp_llama.backends.backend import Backend
from mcp_llama.server.mcp import LlamaServer
from mcp_llama.signals import calling

_ANSWER_S = 2.0
_EXIT_S = 2.0
_POLL_S = 0.01
_ATOMIC_BYTES = getattr(select, "PIPE_BUF", 0)
"""A pipe that takes any bytes takes so many at once."""
_RESPONSE = '{"jsonrpc":"2.0","id":'


@dataclass(frozen=True, slots=True)
class Wire:
    """Private duplicates of the stdin and stdout that the client holds the other ends of."""

    reader: io.TextIOWrapper
    writer: "WireWriter"


class WireWriter:
    """Writes whole messages to a descriptor that may block. Satisfies what the SDK asks of a file.

    `unanswered` are the ids of requests that wait for a response: the server adds them, responses that left remove
    them.
    """

    def __init__(self, descriptor: int) -> None:
        self.unanswered: set[RequestId] = set()
        self._descriptor = descriptor
        self._message = ""

    async def write(self, text: str) -> None:
        """Take one message."""
        self._message += text

    async def flush(self) -> None:
        """Send it. Only what could block takes a thread, which costs more than most messages."""
        text, self._message = self._message, ""
        data = text.encode()
        if len(data) <= _ATOMIC_BYTES and _takes_bytes(self._descriptor):
            os.write(self._descriptor, data)
        else:
            await anyio.to_thread.run_sync(_write_all, self._descriptor, data)
        if text.startswith(_RESPONSE):
            self.unanswered.discard(json.loads(text)["id"])


def _takes_bytes(descriptor: int) -> bool:
    """Whether a small write does not block; where that can't be asked, it may."""
    if sys.platform == "win32":
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def claim_stdio() -> Wire:
    """Keep the wire for the protocol: from here on, what Python or native code prints goes to stderr."""
    wire_in, wire_out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    reader = io.TextIOWrapper(io.BufferedReader(_WatchedInput(wire_in, _exit_soon)), encoding="utf-8", errors="replace")
    return Wire(reader, WireWriter(wire_out))


async def serve_stdio(server: LlamaServer, backend: Backend, wire: Wire) -> None:
    """Serve until stdin ends, or SIGINT or SIGTERM comes. Never returns after a signal: it ends the process."""
    backend.start()
    server.middleware.append(_Requests(wire.writer.unanswered))
    async with anyio.create_task_group() as tasks:
        ended = anyio.Event()
        tasks.start_soon(_end_after, ended, backend, wire.writer)
        writer = cast(anyio.AsyncFile[str], wire.writer)
        with calling(ended.set, signal.SIGINT, signal.SIGTERM):
            await server.run_on_files(anyio.wrap_file(wire.reader), writer)
        tasks.cancel_scope.cancel()
    await backend.close()


class _Requests:
    """Middleware that notes which requests will be answered; the cancelled ones will not."""

    def __init__(self, unanswered: set[RequestId]) -> None:
        self._unanswered = unanswered

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.request_id is None:
            return await call_next(ctx)
        self._unanswered.add(ctx.request_id)
        try:
            return await call_next(ctx)
        except anyio.get_cancelled_exc_class():
            self._unanswered.discard(ctx.request_id)
            raise


async def _end_after(ended: anyio.Event, backend: Backend, writer: WireWriter) -> None:
    await ended.wait()
    backend.stop()
    with anyio.move_on_after(_ANSWER_S):
        while writer.unanswered:  # noqa: ASYNC110 - a worker thread removes them
            await anyio.sleep(_POLL_S)
    await backend.close()
    # The thread that reads stdin is in a system call that nothing but input ends.
    os._exit(0)


class _WatchedInput(io.RawIOBase):
    """A raw file that tells when it has been read to its end."""

    def __init__(self, descriptor: int, on_end: Callable[[], None]) -> None:
        self._file = io.FileIO(descriptor)
        self._on_end = on_end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        count = self._file.readinto(buffer)
        if not count:
            self._on_end()
        return count or 0


def _exit_soon() -> None:
    # A client that closed our stdin but never reads our stdout would keep the writer, and so the process, for ever.
    timer = threading.Timer(_EXIT_S, os._exit, args=(0,))
    timer.daemon = True
    timer.start()
