"""Answers that no server under test gives, as a route's handler."""

import json
from collections.abc import Awaitable, Callable

from playwright.async_api import Route


def canned(*events: str) -> Callable[[Route], Awaitable[None]]:
    """A handler that answers with these events, in lines that end as they may by the standard."""

    async def handle(route: Route) -> None:
        body = "".join(f"{event}\r\n\r\n" for event in events)
        await route.fulfill(status=200, content_type="text/event-stream", body=body)

    return handle


def text_event(text: str, **more: object) -> str:
    """The event of a token of `/generate/stream`."""
    return "data: " + json.dumps({"text": text, **more})
