"""BodyLimit: how large the body of a request may be, and what becomes of one that breaks off."""

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_llama.server.errors import error_body


class BodyLimit:
    """ASGI middleware that reads bodies, and refuses larger ones with 413, unread where their length is told.

    A client that leaves before it has sent all gets no answer, and what is behind never hears of it.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._refusal = f"The body has more than {max_bytes:,} bytes. Send less at once."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole body, answer it, or end it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # An HTTP server lets only digits through.
        told = int(Headers(scope=scope).get("content-length", 0))
        body = None if told > self._max_bytes else await self._read(receive)
        if body is not None and len(body) <= self._max_bytes:
            await self._app(scope, _after(body, receive), send)
        elif body is not None or told > self._max_bytes:
            refusal = JSONResponse(error_body(self._refusal, kind="invalid_request_error"), 413)
            await refusal(scope, receive, send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The body, or its beginning if it is too large; None if the client left."""
        body = bytearray()
        while len(body) <= self._max_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        return bytes(body)


def _after(body: bytes, receive: Receive) -> Receive:
    """The body in one message, and then whatever comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_next() -> Message:
        return messages.pop() if messages else await receive()

    return receive_next
