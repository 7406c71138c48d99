"""MCP over stdin and stdout, with nothing else ever on stdout."""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable

import anyio
from typing_extensions import Buffer

from mcp_llama.backends.backend import Backend
from mcp_llama.server.mcp import LlamaServer

_ANSWER_S = 2.0
_EXIT_S = 2.0


def claim_stdio() -> None:
    """Keep the wire for the protocol: from here on, what Python or native code prints goes to stderr.

    `sys.stdin` and `sys.stdout` become private duplicates of the wire; descriptors 0 and 1 lead elsewhere.
    """
    wire_in, wire_out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(_WatchedInput(wire_in, _exit_soon)), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.FileIO(wire_out, "w"), encoding="utf-8", write_through=True)


async def serve_stdio(server: LlamaServer, backend: Backend) -> None:
    """Serve until stdin ends, or SIGINT or SIGTERM comes. Never returns after a signal: it ends the process."""
    backend.start()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_on_signal, server, backend)
        await server.run_stdio_async()
        tasks.cancel_scope.cancel()
    await backend.close()


async def _end_on_signal(server: LlamaServer, backend: Backend) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            backend.stop()
            with anyio.move_on_after(_ANSWER_S):
                await server.idle()
                await anyio.lowlevel.checkpoint()
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
