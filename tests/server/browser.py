"""A person at the playground: a real browser on the page of a server under test."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, async_playwright, expect

from tests.gate import PATIENCE_S
from tests.server.hands import Hands
from tests.server.scene import Scene
from tests.server.serving import in_process, staged
from tests.server.stage import Stage

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


@dataclass(frozen=True)
class Visit:
    """A page that is open on a server, by the names that a person knows its parts by."""

    page: Page
    url: str
    stage: Stage
    hands: Hands
    log: Log

    def button(self, name: str) -> Locator:
        """A button by its exact name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def field(self, label: str) -> Locator:
        """A field of the settings or a text box by its exact label."""
        return self.page.get_by_label(label, exact=True)

    @property
    def draft(self) -> Locator:
        """Where a message is typed."""
        return self.page.get_by_role("textbox", name="Message", exact=True)

    @property
    def sheet(self) -> Locator:
        """The text that the model continues."""
        return self.page.get_by_role("textbox", name="Text that the model continues")

    @property
    def answer(self) -> Locator:
        """The text of the last answer, and nothing else."""
        return self.page.locator(".turn.assistant .words").last

    @property
    def status(self) -> Locator:
        """The line that tells how a run goes."""
        return self.page.locator(".line:visible").last

    @property
    def alert(self) -> Locator:
        """What went wrong."""
        return self.page.get_by_role("alert")

    @property
    def announced(self) -> Locator:
        """What a screen reader says by itself."""
        return self.page.locator("#announcer")

    async def ask(self, text: str) -> None:
        """Send a message."""
        await self.draft.fill(text)
        await self.draft.press("Enter")

    async def continue_text(self, text: str) -> None:
        """Have a text continued in the completion mode."""
        await self.choose("Completion")
        await self.sheet.fill(text)
        await self.sheet.press("Control+Enter")

    async def choose(self, mode: str) -> None:
        """Choose a mode."""
        await self.page.get_by_role("radio", name=mode).check(force=True)

    async def step(self) -> None:
        """Let one decode go, until the engine has handed over what came of it."""
        await self.hands.step()
        await self.hands.held()

    async def hold(self, text: str) -> None:
        """Send a message and hold the engine in the decode that reads it."""
        await self.hands.shut()
        await self.ask(text)
        await self.hands.held()

    async def says(self, text: str) -> None:
        """Wait until the last answer is exactly this."""
        await expect(self.answer).to_have_js_property("textContent", text)

    async def focusable(self) -> list[tuple[str, str]]:
        """The role and the name of everything that can have the focus, as a screen reader gets them."""
        session: Any = await self.page.context.new_cdp_session(self.page)
        nodes: list[Any] = (await session.send("Accessibility.getFullAXTree"))["nodes"]
        return [
            (node["role"]["value"], node["name"]["value"].strip())
            for node in nodes
            if any(each["name"] == "focusable" and each["value"]["value"] for each in node.get("properties", []))
            and node["role"]["value"] != "RootWebArea"
        ]

    async def ended(self) -> None:
        """Wait until no run goes on."""
        await expect(self.button("Stop")).to_be_hidden()


@asynccontextmanager
async def visit(
    browser: Browser, scene: Scene | None = None, *, is_ready: bool = True, script: str = "", **options: Any
) -> AsyncGenerator[Visit]:
    """A new visitor, who has never been here. `script` runs before the page's own, `options` are the context's."""
    async with staged(scene or Scene()) as (stage, url):
        context = await browser.new_context(**options)
        try:
            page = await context.new_page()
            page.set_default_timeout(PATIENCE_S * 1000)
            log = Log()
            log.watch(page)
            if script:
                await page.add_init_script(script)
            await page.goto(url)
            if is_ready:
                await expect(page.locator("#model option").first).to_be_attached()
            yield Visit(page, url, stage, in_process(stage), log)
            assert log.complaints == []
            assert log.hosts == {urlsplit(url).netloc}
        finally:
            await context.close()
