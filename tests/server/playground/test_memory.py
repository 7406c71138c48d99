"""What the page remembers from visit to visit."""

from playwright.async_api import Browser, expect

from tests.server.playground.values import TYPED
from tests.server.playground.visit import SKY, visit


async def test_settings_and_drafts_are_remembered_until_they_are_reset(browser: Browser) -> None:
    async with visit(browser) as visitor:
        everything = {**TYPED, "System message": "Be brief."}
        for label, value in everything.items():
            await visitor.field(label).fill(value)
        await visitor.draft.fill("Why?")
        await visitor.page.reload()
        for label, value in everything.items():
            await expect(visitor.field(label)).to_have_value(value)
        await expect(visitor.draft).to_have_value("Why?")
        await visitor.button("Reset settings").click()
        await visitor.page.reload()
        for label in everything:
            await expect(visitor.field(label)).to_have_value("")
        await expect(visitor.draft).to_have_value("Why?")
        await expect(visitor.field("Model")).to_have_value("fake")


async def test_the_mode_is_remembered(browser: Browser) -> None:
    async with visit(browser) as visitor:
        await visitor.choose("Completion")
        await visitor.sheet.fill("The ")
        await visitor.page.reload()
        await expect(visitor.sheet).to_have_value("The ")


async def test_what_was_remembered_may_be_broken_or_forbidden(browser: Browser) -> None:
    for script in ("localStorage.setItem('mcp-llama.playground', '{')", "delete Window.prototype.localStorage"):
        async with visit(browser, SKY, script=script) as visitor:
            await visitor.ask("Why?")
            await visitor.says("Sky")


async def test_the_served_models_can_be_chosen(browser: Browser) -> None:
    async with visit(browser) as visitor:
        models = {"object": "list", "data": [{"id": "fake"}, {"id": "other"}]}
        await visitor.page.route("**/v1/models", lambda route: route.fulfill(json=models))
        await visitor.page.reload()
        await visitor.field("Model").select_option("other")
        await visitor.page.reload()
        await expect(visitor.field("Model")).to_have_value("other")
        await visitor.ask("Why?")
        await expect(visitor.alert).to_contain_text("Unknown model 'other'. Available: fake.")
        assert visitor.log.sent[-1]["model"] == "other"
