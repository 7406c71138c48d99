"""What the tests of plain HTTP have in common."""

from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

import pytest

from mcp_llama.backends.backend import Backend
from mcp_llama.server.calls import Calls
from mcp_llama.server.factory import build_server
from mcp_llama.server.mcp import LlamaServer
from mcp_llama.server.settings import ServerLimits
from tests.server import serving
from tests.server.plain.streams import Asker, asker
from tests.server.scene import Scene
from tests.server.serving import staged


@pytest.fixture(scope="module")
async def client(request: pytest.FixtureRequest) -> AsyncGenerator[Asker]:
    """A client of a server that plays the module's SCENE, for tests that leave no trace in it."""
    scene: Scene = cast(Any, request).module.SCENE
    async with staged(scene) as (_, url), asker(url) as client:
        yield client


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Calls]:
    """What gives the calls that the last server of this test is answering."""
    built: list[Calls] = []

    def build(backend: Backend, limits: ServerLimits) -> LlamaServer:
        server = build_server(backend, limits)
        built.append(server.calls)
        return server

    monkeypatch.setattr(serving, "build_server", build)
    return lambda: built[-1]
