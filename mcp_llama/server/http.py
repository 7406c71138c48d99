"""Serving the app: the socket, uvicorn, and a shutdown that leaves no call without an answer."""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Callable
from types import FrameType

import anyio
import uvicorn
from fastapi import FastAPI

from mcp_llama.backends.backend import Backend
from mcp_llama.errors import ConfigError
from mcp_llama.server.mcp import LlamaServer

_ANSWER_S = 2.0
_LAST_MESSAGES_S = 0.1
_GRACE_S = 1
_BACKLOG = 2048
_STALL_MARGIN_S = 5.0


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one.

    Raises:
        ConfigError: the port is taken, or the host is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches off Nagle's delay, 40 ms a token, only where the socket names its protocol.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        is_host = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        flag = "--host" if is_host else "--port"
        raise ConfigError(
            f"Cannot listen on {host} port {port}: {error.strerror}. Choose another with {flag}."
        ) from error
    return listener


def drop_stalled(listener: socket.socket, stall_timeout: float) -> None:
    """Let the kernel drop connections whose clients take nothing for longer than a stalled request lives."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        listener.setsockopt(socket.IPPROTO_TCP, option, int((stall_timeout + _STALL_MARGIN_S) * 1000))


class _Server(uvicorn.Server):
    """uvicorn, which on shutdown first lets every running call end with what it has."""

    def __init__(
        self, config: uvicorn.Config, backend: Backend, mcp: LlamaServer, on_started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._backend = backend
        self._mcp = mcp
        self._on_started = on_started
        self._draining: asyncio.Future[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Let the calls end first: what uvicorn does at a signal makes the SSE streams end at once."""
        if self._draining is not None:
            super().handle_exit(sig, frame)
            return
        self._backend.stop()
        self._draining = asyncio.ensure_future(self._drain(sig, frame))

    async def _drain(self, sig: int, frame: FrameType | None) -> None:
        with anyio.move_on_after(_ANSWER_S):
            await self._mcp.calls.idle()
            # The last messages are on their way through the SDK's tasks.
            await asyncio.sleep(_LAST_MESSAGES_S)
        super().handle_exit(sig, frame)


async def serve_http(
    app: FastAPI, backend: Backend, mcp: LlamaServer, listener: socket.socket, on_started: Callable[[], None]
) -> None:
    """Serve until SIGINT or SIGTERM; `on_started` is called once clients can connect and signals are heard."""
    # stdio starts faster without it.
    from mcp_llama.server.http_protocol import HttpProtocol

    config = uvicorn.Config(
        app, http=HttpProtocol, log_config=None, access_log=False, timeout_graceful_shutdown=_GRACE_S
    )
    server = _Server(config, backend, mcp, on_started)
    # uvicorn listens only later, and raises the signal again when it is done, which then changes nothing any more.
    signal.signal(signal.SIGTERM, server.handle_exit)
    await server.serve(sockets=[listener])
