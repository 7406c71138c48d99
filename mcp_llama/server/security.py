"""Who may come in by HTTP: the Host and Origin headers of every request."""

from collections.abc import Sequence
from dataclasses import dataclass

from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_llama.server.errors import error_body

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_FOREIGN_SITES = ("cross-site", "same-site")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSecurity:
    """Which Host and Origin headers are let in beside those of this machine; `name:*` stands for any port."""

    allowed_hosts: Sequence[str] = ()
    allowed_origins: Sequence[str] = ()

    def transport(self) -> TransportSecuritySettings:
        """The same for the MCP transports."""
        return TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=_on_any_port([f"{host}:*" for host in _LOOPBACK] + list(self.allowed_hosts)),
            allowed_origins=_on_any_port([f"http://{host}:*" for host in _LOOPBACK] + list(self.allowed_origins)),
        )


def _on_any_port(names: Sequence[str]) -> list[str]:
    """The names, and those that end in `:*` also without it: clients leave the usual port out."""
    return [*names, *(name.removesuffix(":*") for name in names if name.endswith(":*"))]


class HeaderGuard:
    """ASGI middleware that turns strangers away, by the rules of the MCP transports.

    A web page's script names its origin, and a name that was pointed at this machine shows in Host.
    """

    def __init__(self, app: ASGIApp, security: AppSecurity) -> None:
        self._app = app
        self._rules = TransportSecurityMiddleware(security.transport())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 403 or 421."""
        if scope["type"] == "http":
            request = _without_own_origin(Request(scope))
            refused = await self._rules.validate_request(request, is_post=False)
            if refused is not None:
                body = error_body(bytes(refused.body).decode(), kind="permission_error")
                await JSONResponse(body, refused.status_code)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _without_own_origin(request: Request) -> Request:
    """The request without an Origin that is the very host it was sent to: its page came from here."""
    if request.headers.get("origin") != f"{request.url.scheme}://{request.headers.get('host')}":
        return request
    headers = [(name, value) for name, value in request.scope["headers"] if name != b"origin"]
    return Request({**request.scope, "headers": headers})


def refuse_embedding(request: Request) -> None:
    """Refuse what another site embeds without a script (an image, a link), which names no origin.

    Browsers mark it in Sec-Fetch-Site.

    Raises:
        HTTPException: 403.
    """
    if request.headers.get("sec-fetch-site") in _FOREIGN_SITES and "origin" not in request.headers:
        raise HTTPException(403, "Another site may not embed this.")
