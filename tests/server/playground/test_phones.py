"""The page on a phone."""

from playwright.async_api import Browser, Locator, ViewportSize, expect

from tests.server.playground.browser import PHONE
from tests.server.playground.visit import SKY, visit
from tests.server.scene import Scene


async def is_in_view(part: Locator, size: ViewportSize) -> bool:
    box = await part.bounding_box()
    assert box is not None
    return 0 <= box["x"] <= box["x"] + box["width"] <= size["width"] and box["y"] + box["height"] <= size["height"]


async def test_the_page_fits_a_phone(browser: Browser) -> None:
    async with visit(browser, Scene(scripts={None: "long" * 100}), **PHONE) as visitor:
        size = visitor.page.viewport_size
        assert size is not None
        for mode, name in (("Chat", "Send"), ("Completion", "Continue")):
            await visitor.choose(mode)
            assert await is_in_view(visitor.button(name), size)
            assert await is_in_view(visitor.button("Settings"), size)
            tops = "() => [...document.querySelectorAll('header button')].map((it) => it.getBoundingClientRect().top)"
            assert len(set(await visitor.page.evaluate(tops))) == 1, "the header is one row"
            box = visitor.draft if mode == "Chat" else visitor.sheet
            await box.fill("Why?")
            await visitor.button(name).tap()
            await visitor.ended()
            assert await visitor.page.evaluate("() => document.documentElement.scrollWidth") == size["width"]
            assert await is_in_view(visitor.page.locator("#go"), size)


async def test_the_settings_are_a_drawer_on_a_phone(browser: Browser) -> None:
    async with visit(browser, SKY, **PHONE) as visitor:
        await expect(visitor.field("temperature")).to_be_hidden()
        await visitor.hold("Why?")
        await visitor.button("Settings").tap()
        await visitor.field("temperature").fill("0.5")
        await visitor.page.keyboard.press("Escape")
        await expect(visitor.field("temperature")).to_be_hidden()
        await expect(visitor.button("Stop")).to_be_visible()
        await visitor.hands.open()
        await visitor.says("Sky")
        await visitor.button("Settings").tap()
        await visitor.button("Close").tap()
        await expect(visitor.field("temperature")).to_be_hidden()
        await visitor.ask("Why?")
        await visitor.ended()
        assert visitor.log.sent[-1]["temperature"] == 0.5


async def test_no_input_is_so_small_that_a_phone_zooms_in(browser: Browser) -> None:
    async with visit(browser, **PHONE) as visitor:
        sizes = """() => [...document.querySelectorAll("input:not([type=radio]), textarea, select")]
            .map((it) => parseFloat(getComputedStyle(it).fontSize))"""
        assert min(await visitor.page.evaluate(sizes)) >= 16
