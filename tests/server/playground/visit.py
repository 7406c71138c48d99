"""A person at the playground: the page of a server under test, open in a browser."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Locator, Page, expect

from tests.gate import PATIENCE_S
from tests.server.hands import Hands
from tests.server.playground.browser import Log
from tests.server.scene import Scene
from tests.server.serving import in_process, staged
from tests.server.stage import Stage

SKY = Scene(scripts={None: "Sky"})
"""A model that says Sky."""


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
    def bar(self) -> Locator:
        """How far the prompt is read."""
        return self.page.get_by_role("progressbar", name="Prompt read")

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

    async def tells(self, pattern: str) -> None:
        """Wait until the status line is of this pattern as a whole; its dots have a space before them that stays."""
        pattern = pattern.replace(" · ", r"\s· ")
        await expect(self.status).to_have_text(re.compile(f"^{pattern}$"))

    async def curl(self) -> str:
        """The request as a command."""
        return await self.page.get_by_label("curl command").text_content() or ""

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
