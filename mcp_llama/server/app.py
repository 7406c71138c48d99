"""The ASGI app: MCP over Streamable HTTP and SSE, plain HTTP, `/v1`, and the playground, on one backend."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from mcp_llama import __version__
from mcp_llama.backends.backend import Backend
from mcp_llama.server.answers import Answers
from mcp_llama.server.body_limit import BodyLimit
from mcp_llama.server.client_watch import MCP_PATH
from mcp_llama.server.failures import add_failures
from mcp_llama.server.generate import GenerateRoutes
from mcp_llama.server.mcp import LlamaServer
from mcp_llama.server.one_response import OneResponse
from mcp_llama.server.openai.routes import OpenAIRoutes
from mcp_llama.server.openapi import document
from mcp_llama.server.playground import playground_router
from mcp_llama.server.security import AppSecurity, HeaderGuard
from mcp_llama.server.settings import ServerLimits
from mcp_llama.server.sse import StreamClocks
from mcp_llama.server.status import StatusRoutes
from mcp_llama.server.tokens import TokenRoutes

SSE_PATH = "/sse"
MESSAGES_PATH = "/messages/"
_MAX_BODY = 16 * 2**20


def build_app(server: LlamaServer, backend: Backend, limits: ServerLimits, security: AppSecurity) -> FastAPI:
    """The app. Its lifespan starts the backend, which loads while the first clients connect, and closes it."""
    # A stateful legacy leg without event store: the one set-up in which every kind of cancellation works.
    http = server.streamable_http_app(streamable_http_path=MCP_PATH, transport_security=security.transport())
    sse = server.sse_app(sse_path=SSE_PATH, message_path=MESSAGES_PATH, transport_security=security.transport())
    for route in (*http.routes, *sse.routes):
        if isinstance(route, Route):
            route.app = OneResponse(route.app)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        backend.start()
        try:
            async with server.session_manager.run():
                yield
        finally:
            await backend.close()

    app = FastAPIOffline(
        title="mcp-llama",
        version=__version__,
        description="A local llama.cpp model over plain HTTP. MCP clients connect to `/mcp`.",
        redoc_url=None,
        lifespan=lifespan,
        middleware=_middleware(security),
    )
    app.router.routes += [*http.routes, *sse.routes]
    clocks = StreamClocks(ping_s=limits.ping_s, stall_timeout=limits.stall_timeout)
    answers = Answers(server.calls, clocks)
    app.include_router(playground_router())
    app.include_router(GenerateRoutes(backend, answers, limits.max_tokens).router())
    app.include_router(OpenAIRoutes(backend, answers).router())
    app.include_router(TokenRoutes(backend).router())
    app.include_router(StatusRoutes(backend).router())
    add_failures(app)
    app.openapi = partial(document, app)
    return app


def _middleware(security: AppSecurity) -> list[Middleware]:
    inner = [Middleware(HeaderGuard, security), Middleware(BodyLimit, _MAX_BODY)]
    if not security.allowed_origins:
        return inner
    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(security.allowed_origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["Mcp-Session-Id", "Retry-After"],
    )
    return [cors, *inner]
