"""A real browser, and a log of what it does."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright, expect

from tests.gate import PATIENCE_S

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE: dict[str, Any] = {"viewport": {"width": 375, "height": 667}, "has_touch": True, "is_mobile": True}


@asynccontextmanager
async def launched() -> AsyncGenerator[Browser]:
    """The browser of this machine, or a skip where it has none."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip(f"there is none of {', '.join(_NAMES)}")
    expect.set_options(timeout=PATIENCE_S * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_ARGS)
        yield browser
        await browser.close()


@dataclass
class Log:
    """What the browser did and what it complained of. `failed` are requests that got no answer or a bad one."""

    requests: list[Request] = field(default_factory=list[Request])
    complaints: list[str] = field(default_factory=list[str])
    failed: list[str] = field(default_factory=list[str])

    def watch(self, page: Page) -> None:
        """Listen to a page from now on."""
        page.on("request", lambda request: self.requests.append(request))
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", lambda request: self.failed.append(urlsplit(request.url).path))
        page.on(
            "response",
            lambda response: None if response.ok else self.failed.append(urlsplit(response.url).path),
        )

    def _note_console(self, message: ConsoleMessage) -> None:
        # Chromium's own note of a request that failed, which `failed` has too.
        if not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)

    @property
    def hosts(self) -> set[str]:
        """Whom the browser spoke to."""
        return {parts.netloc for request in self.requests if (parts := urlsplit(request.url)).scheme != "data"}

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The bodies of the requests for text."""
        return [cast(dict[str, Any], each.post_data_json) for each in self.requests if each.method == "POST"]
