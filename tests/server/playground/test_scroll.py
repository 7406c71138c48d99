"""What is in view."""

import anyio
import pytest
from playwright.async_api import Browser, Locator, expect

from tests.gate import PATIENCE_S
from tests.server.playground.visit import SKY, visit
from tests.server.scene import Scene


async def at_bottom(scroller: Locator, *, is_there: bool = True) -> None:
    distance = "(it) => it.scrollHeight - it.scrollTop - it.clientHeight"
    with anyio.fail_after(PATIENCE_S):
        while (await scroller.evaluate(distance) < 2) != is_there:
            await scroller.evaluate("() => new Promise(requestAnimationFrame)")


@pytest.mark.parametrize("mode", ["Chat", "Completion"])
async def test_the_end_stays_in_view_unless_the_reader_scrolled_away(browser: Browser, mode: str) -> None:
    async with visit(browser, Scene(scripts={None: ["line\n"] * 80})) as visitor:
        await visitor.choose(mode)
        scroller = visitor.page.get_by_role("region", name=mode)
        shown = visitor.answer if mode == "Chat" else visitor.page.locator("#tint mark")
        await visitor.hands.shut()
        await (visitor.ask if mode == "Chat" else visitor.continue_text)("Why?")
        await visitor.hands.held()
        for _ in range(40):
            await visitor.step()
        await expect(shown).to_have_js_property("textContent", "line\n" * 40)
        await at_bottom(scroller)
        await expect(visitor.button("↓ Latest")).to_be_hidden()
        await scroller.hover()
        await visitor.page.mouse.wheel(0, -300)
        await at_bottom(scroller, is_there=False)
        await visitor.step()
        await expect(shown).to_have_js_property("textContent", "line\n" * 41)
        await at_bottom(scroller, is_there=False)
        await visitor.button("↓ Latest").click()
        await at_bottom(scroller)
        await visitor.step()
        await expect(shown).to_have_js_property("textContent", "line\n" * 42)
        await at_bottom(scroller)


@pytest.mark.parametrize("mode", ["Chat", "Completion"])
async def test_what_takes_room_does_not_push_the_text_out_of_view(browser: Browser, mode: str) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.choose(mode)
        await (visitor.ask if mode == "Chat" else visitor.continue_text)("Why?")
        await visitor.ended()
        await visitor.page.get_by_text("Request as curl").click()
        await visitor.page.set_viewport_size({"width": 1280, "height": 640})
        shown = visitor.answer if mode == "Chat" else visitor.page.locator("#tint mark")
        await expect(shown).to_be_in_viewport(ratio=1)
        await expect(visitor.status).to_be_in_viewport(ratio=1)
