"""Who may come in by HTTP: the Host and Origin headers of every request."""

from collections.abc import Sequence
from dataclasses import dataclass

from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_llama.server.errors import error_body

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


class HeaderGuard:
    """ASGI middleware that turns strangers away, by the rules of the MCP transports.

    A web page's script names its origin, and a name that was pointed at this machine shows in Host. What another
    site embeds without a script (an image, a link) names none: browsers mark it in Sec-Fetch-Site.
    """

    def __init__(self, app: ASGIApp, security: AppSecurity) -> None:
        self._app = app
        self._rules = TransportSecurityMiddleware(security.transport())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 403 or 421."""
        if scope["type"] == "http":
            request = Request(scope)
            refused = await self._rules.validate_request(request, is_post=False)
            if refused is not None:
                text = bytes(refused.body).decode()
                await _refusal(refused.status_code, text)(scope, receive, send)
                return
            if _is_embedded(request):
                await _refusal(403, "Another site may not embed this one.")(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_embedded(request: Request) -> bool:
    # A link that a person follows is a navigation, and harmless: it shows our page in place of the other.
    headers = request.headers
    foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site") and "origin" not in headers
    return foreign and not (headers.get("sec-fetch-mode") == "navigate" and request.url.path == "/")


def _refusal(status: int, text: str) -> JSONResponse:
    return JSONResponse(error_body(text, kind="permission_error"), status)
