"""OneResponse: what the SDK's SSE route sends after its stream, which is a second response, ends the first."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class OneResponse:
    """ASGI middleware that lets one response out. Uvicorn takes a second for a failure, and would log a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on but a second start, and what comes after the end."""
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
