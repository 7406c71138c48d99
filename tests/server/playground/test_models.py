"""Several models: which there are, how far they are, and the one that is asked."""

from playwright.async_api import Browser, expect

from mcp_llama.models.room import PoolBounds
from tests.gate import PATIENCE_S
from tests.models.pools import SIZE
from tests.server.playground.browser import Log
from tests.server.shelved import SINGER, SMALL, TALKER, shelf, shelved


async def test_a_model_can_be_chosen_by_its_name_and_state(browser: Browser) -> None:
    async with shelved(shelf(), PoolBounds(memory=SIZE)) as url:
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        log = Log()
        log.watch(page)
        try:
            await page.goto(url)
            choice = page.get_by_label("Model", exact=True)
            await expect(choice.locator("option")).to_have_text([SMALL, f"{TALKER} · unloaded", f"{SINGER} · unloaded"])
            await choice.select_option(TALKER)
            draft = page.get_by_role("textbox", name="Message", exact=True)
            await draft.fill("Why?")
            await draft.press("Enter")
            await expect(page.locator(".turn.assistant .words")).to_have_text("Talk, talk.")
            await expect(choice.locator("option")).to_have_text([f"{SMALL} · unloaded", TALKER, f"{SINGER} · unloaded"])
            await expect(choice).to_have_value(TALKER)
            assert log.sent[-1]["model"] == TALKER
            await page.reload()
            await expect(page.locator("#health")).to_have_text("Unloaded")
            await expect(page.get_by_role("alert")).to_be_hidden()
            assert log.complaints == []
        finally:
            await page.close()
