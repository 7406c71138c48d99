"""The state of the server."""

from playwright.async_api import Browser, expect

from tests.server.playground.visit import SKY, visit
from tests.server.scene import Scene


async def test_the_load_is_shown_until_the_model_is_ready(browser: Browser) -> None:
    async with visit(browser, Scene(holds_load=True, scripts={None: "Sky"}), is_ready=False) as visitor:
        await expect(visitor.page.get_by_text("Loading fake · 50 %")).to_be_visible()
        bar = visitor.page.get_by_role("progressbar", name="Model loaded")
        await expect(bar).to_have_js_property("value", 0.5)
        await expect(visitor.field("Model")).to_have_value("fake")
        await visitor.ask("Why?")
        await visitor.tells(r"Waiting for the model to load, 50 % · \d+\.\d s")
        await visitor.hands.finish_load()
        await visitor.says("Sky")
        await expect(visitor.page.get_by_text("Ready", exact=True)).to_be_visible()
        await expect(bar).to_be_hidden()


async def test_a_load_that_failed_says_why(browser: Browser) -> None:
    async with visit(browser, Scene(load_error="model.gguf is damaged."), is_ready=False) as visitor:
        await expect(visitor.alert).to_contain_text("model.gguf is damaged.")
        await expect(visitor.page.get_by_text("Failed", exact=True)).to_be_visible()


async def test_a_server_that_is_gone_is_told_and_its_return_is_seen(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.page.context.set_offline(True)
        await visitor.ask("Why?")
        await expect(visitor.alert).to_contain_text("The server cannot be reached.")
        await expect(visitor.page.get_by_text("Offline", exact=True)).to_be_visible()
        await expect(visitor.draft).to_have_value("Why?")
        await visitor.page.context.set_offline(False)
        await expect(visitor.page.get_by_text("Ready", exact=True)).to_be_visible()
        await expect(visitor.alert).to_be_hidden()
        await visitor.draft.press("Enter")
        await visitor.says("Sky")
