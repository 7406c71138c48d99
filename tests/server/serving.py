"""Servers under test, on real sockets and in real processes, and clients connected to them."""

import pickle
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any, Literal, Self

import anyio
import pytest
from anyio import to_thread
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from sse_starlette.sse import AppStatus

from mcp_llama.backends.backend import Backend
from mcp_llama.server.app import build_app
from mcp_llama.server.factory import build_server
from mcp_llama.server.http import bind, drop_stalled, serve_http
from mcp_llama.server.security import AppSecurity
from mcp_llama.server.settings import ServerLimits
from tests.gate import PATIENCE_S
from tests.server.client import Connection, Era, connected, task_group, unwrapped
from tests.server.hands import Hands
from tests.server.raw import plain_http
from tests.server.scene import Scene
from tests.server.stage import Stage
from tests.server.stdio_fake import CONTROL_SOCKET, SCENE_FILE

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Door:
    """A way in: a transport and an era of the protocol."""

    transport: Literal["http", "sse", "stdio"]
    era: Era

    def __str__(self) -> str:
        return f"{self.era}-{self.transport}"


ERAS: tuple[Era, ...] = ("modern", "legacy")
DOORS = [Door(transport, era) for transport in ("http", "sse", "stdio") for era in ERAS]
PLAIN_DOOR = Door("http", "modern")
"""For what has nothing to do with the way in."""
every_door = pytest.mark.parametrize("door", DOORS, ids=str)
every_era = pytest.mark.parametrize("era", ERAS)


@dataclass(frozen=True)
class Opened:
    """A server under test with a client, and a neighbour: a second client where the transport takes two."""

    stage: Hands
    client: Connection
    neighbour: Connection


@asynccontextmanager
async def opened(door: Door, scene: Scene) -> AsyncGenerator[Opened]:
    """A server that plays a scene, and clients that came through a door."""
    with unwrapped():
        if door.transport == "stdio":
            async with _stdio(scene, door.era) as (hands, client):
                yield Opened(hands, client, client)
        else:
            async with (
                staged(scene) as (stage, url),
                connected_http(url, door) as client,
                connected_http(url, door) as neighbour,
            ):
                yield Opened(in_process(stage), client, neighbour)


@asynccontextmanager
async def staged(scene: Scene, security: AppSecurity | None = None) -> AsyncGenerator[tuple[Stage, str]]:
    """A scene's stage and the base URL of the server on it, in this event loop."""
    with Stage(scene) as stage:
        async with serving(stage.backend, scene.server, security) as url:
            try:
                yield stage, url
            finally:
                stage.finish_load()
                stage.open()
        assert stage.running() == 0


@asynccontextmanager
async def serving(
    backend: Backend, limits: ServerLimits | None = None, security: AppSecurity | None = None
) -> AsyncGenerator[str]:
    """The base URL of a server in this event loop, which ends it as an operator would: by SIGTERM."""
    limits = limits or ServerLimits()
    mcp = build_server(backend, limits)
    app = build_app(mcp, backend, limits, security or AppSecurity())
    listener = bind("127.0.0.1", 0)
    drop_stalled(listener, limits.stall_timeout)
    # Little in the kernel's buffers: a client that stops reading is felt at once.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
    started, ended = anyio.Event(), anyio.Event()
    before = signal.getsignal(signal.SIGTERM)

    async def serve() -> None:
        await serve_http(app, backend, mcp, listener, started.set)
        ended.set()

    async with task_group() as tasks:
        tasks.start_soon(serve)
        with anyio.fail_after(PATIENCE_S):
            await started.wait()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            signal.raise_signal(signal.SIGTERM)
            with anyio.CancelScope(shield=True), anyio.fail_after(PATIENCE_S):
                await ended.wait()
            signal.signal(signal.SIGTERM, before)
            # sse-starlette keeps it for the life of the process: the next server's streams would end at once.
            AppStatus.should_exit = False


@asynccontextmanager
async def connected_http(url: str, door: Door) -> AsyncGenerator[Connection]:
    """A client of a server on a socket."""
    if door.transport == "sse":
        async with connected(sse_client(f"{url}/sse", httpx_client_factory=plain_http), door.era) as connection:
            yield connection
    else:
        async with (
            plain_http() as http,
            connected(streamable_http_client(f"{url}/mcp", http_client=http), door.era) as connection,
        ):
            yield connection


def in_process(stage: Stage) -> Hands:
    """The hands of a stage in this process."""

    async def ask(method: str, *arguments: Any) -> Any:
        return await to_thread.run_sync(partial(getattr(stage, method), *arguments), abandon_on_cancel=True)

    return Hands(ask)


@asynccontextmanager
async def _stdio(scene: Scene, era: Era) -> AsyncGenerator[tuple[Hands, Connection]]:
    with Control(scene) as control:
        command = StdioServerParameters(command=control.command[0], args=control.command[1:], cwd=ROOT)
        async with connected(stdio_client(command, sys.__stderr__ or sys.stderr), era) as connection:
            yield control.hands, connection


class Control:
    """The test's line to a stage in another process, which `command` starts."""

    def __init__(self, scene: Scene) -> None:
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name)
        (path / SCENE_FILE).write_bytes(pickle.dumps(scene))
        self._listener: Any = Listener(str(path / CONTROL_SOCKET))
        self._line: Any = None
        self._lock = anyio.Lock()
        self.command = [sys.executable, "-m", "tests.server.stdio_fake", self._folder.name]
        self.hands = Hands(self._ask)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._line is not None:
            self._line.close()
        self._listener.close()
        self._folder.cleanup()

    async def _ask(self, method: str, *arguments: Any) -> Any:
        async with self._lock:
            succeeded, value = await to_thread.run_sync(self._exchange, method, arguments, abandon_on_cancel=True)
        assert succeeded, value
        return value

    def _exchange(self, method: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
        if self._line is None:
            self._line = self._listener.accept()
        self._line.send((method, arguments))
        return self._line.recv()
