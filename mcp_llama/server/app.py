"""The ASGI app: MCP over Streamable HTTP and over the older SSE transport, on one backend."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_llama.backends.backend import Backend
from mcp_llama.server.client_watch import MCP_PATH
from mcp_llama.server.mcp import LlamaServer

SSE_PATH = "/sse"
MESSAGES_PATH = "/messages/"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSecurity:
    """Which Host and Origin headers are let in beside those of this machine; `name:*` stands for any port."""

    allowed_hosts: Sequence[str] = ()
    allowed_origins: Sequence[str] = ()

    def transport(self) -> TransportSecuritySettings:
        """The same for the MCP transports."""
        return TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=[f"{host}:*" for host in _LOOPBACK] + list(self.allowed_hosts),
            allowed_origins=[f"http://{host}:*" for host in _LOOPBACK] + list(self.allowed_origins),
        )


def build_app(server: LlamaServer, backend: Backend, security: AppSecurity) -> Starlette:
    """The app. Its lifespan starts the backend, which loads while the first clients connect, and closes it."""
    # A stateful legacy leg without event store: the one set-up in which every kind of cancellation works.
    http = server.streamable_http_app(streamable_http_path=MCP_PATH, transport_security=security.transport())
    sse = server.sse_app(sse_path=SSE_PATH, message_path=MESSAGES_PATH, transport_security=security.transport())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        backend.start()
        try:
            async with server.session_manager.run():
                yield
        finally:
            await backend.close()

    async def health(_: Request) -> Response:
        status = backend.models()[0]
        body = {"status": status.state, "model": status.name, "loaded": status.loaded, "error": status.error}
        return JSONResponse(
            {key: value for key, value in body.items() if value is not None},
            status_code=200 if status.state == "ready" else 503,
        )

    middleware = [
        Middleware(
            CORSMiddleware,
            allow_origins=list(security.allowed_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["Mcp-Session-Id"],
        )
    ]
    return Starlette(
        routes=[*http.routes, *sse.routes, Route("/health", health, methods=["GET"])],
        middleware=middleware if security.allowed_origins else [],
        lifespan=lifespan,
    )
