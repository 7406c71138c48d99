"""BodyLimit: how large the body of a request may be."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_llama.server.errors import error_body


class BodyLimit:
    """ASGI middleware that refuses larger bodies with 413, unread where their length is told."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._refusal = f"The body has more than {max_bytes:,} bytes. Send less at once."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with a body that breaks off where it gets too large, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # An HTTP server lets only digits through.
        if int(Headers(scope=scope).get("content-length", 0)) > self._max_bytes:
            refusal = JSONResponse(error_body(self._refusal, kind="invalid_request_error"), 413)
            await refusal(scope, receive, send)
            return
        size = 0

        async def receive_some() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_bytes:
                raise HTTPException(413, self._refusal)
            return message

        await self._app(scope, receive_some, send)
