"""Copying."""

from playwright.async_api import Browser, expect

from tests.server.playground.visit import SKY, visit


async def test_texts_can_be_copied(browser: Browser) -> None:
    async with visit(browser, SKY, permissions=["clipboard-read", "clipboard-write"]) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await visitor.button("Copy").click()
        await expect(visitor.button("Copied")).to_be_visible()
        assert await visitor.page.evaluate("() => navigator.clipboard.readText()") == "Sky"
        await visitor.page.get_by_text("Request as curl").click()
        await visitor.page.locator("#curl-copy").click()
        await expect(visitor.page.locator("#curl-copy")).to_have_text("Copied")
        assert await visitor.page.evaluate("() => navigator.clipboard.readText()") == await visitor.curl()


async def test_texts_can_be_copied_without_a_clipboard_api(browser: Browser) -> None:
    script = """
        delete Navigator.prototype.clipboard;
        document.addEventListener("copy", () => { globalThis.copied = getSelection().toString(); });
    """
    async with visit(browser, SKY, script=script) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await visitor.button("Copy").click()
        await expect(visitor.button("Copied")).to_be_visible()
        assert await visitor.page.evaluate("() => globalThis.copied") == "Sky"
