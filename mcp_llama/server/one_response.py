"""OneResponse: a stream of the SDK is one response, which ends."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_END_S = 0.5


class OneResponse:
    """ASGI middleware that lets one response out and ends it, as the SDK does not at a shutdown.

    Uvicorn takes a second response, or one without an end, for a failure, cuts the connection and logs an error.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on but a second start, and what comes after the end; add an end that is missing."""
        is_started = is_ended = False

        async def send_one(message: Message) -> None:
            nonlocal is_started, is_ended
            starts = message["type"] == "http.response.start"
            if is_ended or (is_started and starts):
                return
            is_started = True
            is_ended = not starts and not message.get("more_body", False)
            await send(message)

        await self._app(scope, receive, send_one)
        if is_started and not is_ended:
            # A client that reads nothing cannot be told.
            with anyio.move_on_after(_END_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
