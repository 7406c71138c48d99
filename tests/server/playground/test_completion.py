"""The sheet: a text that the model continues."""

from playwright.async_api import Browser, expect

from tests.server.playground.visit import SKY, visit
from tests.server.scene import Scene


async def test_a_text_is_continued_from_where_it_is_and_can_be_rewritten(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.continue_text("The ")
        await expect(visitor.sheet).to_have_value("The Sky")
        await visitor.ended()
        await visitor.button("Continue").click()
        await expect(visitor.sheet).to_have_value("The SkySky")
        await visitor.ended()
        await visitor.field("max_tokens").fill("2")
        await visitor.button("Retry").click()
        await expect(visitor.sheet).to_have_value("The SkySk")
        prompts = [body["prompt"] for body in visitor.log.sent]
        assert prompts == ["The ", "The Sky", "The Sky"]


async def test_edits_keep_apart_what_is_whose(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.continue_text("The ")
        await visitor.ended()
        await visitor.sheet.press("End")
        await visitor.sheet.press("ArrowLeft")
        await visitor.sheet.press_sequentially("__")
        await expect(visitor.sheet).to_have_value("The Sk__y")
        await expect(visitor.page.locator("#tint mark")).to_have_text(["Sk", "y"])
        await visitor.sheet.press("Home")
        await visitor.sheet.press_sequentially("O ")
        await expect(visitor.page.locator("#tint mark")).to_have_text(["Sk", "y"])
        await expect(visitor.button("Retry")).to_be_hidden()


async def test_a_line_break_of_two_tokens_is_one_line_break(browser: Browser) -> None:
    async with visit(browser, Scene(scripts={None: "\r\n!"})) as visitor:
        await visitor.hands.shut()
        await visitor.continue_text("Hey")
        await visitor.hands.held()
        for text in ("Hey\n", "Hey\n", "Hey\n!"):
            await visitor.step()
            await expect(visitor.sheet).to_have_value(text)
        assert await visitor.page.locator("#tint").text_content() == "Hey\n!\u200b"


async def test_the_tint_lies_exactly_under_the_text(browser: Browser) -> None:
    async with visit(browser, Scene(scripts={None: "word " * 80 + "\n"})) as visitor:
        await visitor.continue_text("The\n\n" + "long " * 60)
        await visitor.ended()
        sizes = "() => [sheet, tint].map((it) => [it.scrollHeight, it.clientWidth])"
        sheet, tint = await visitor.page.evaluate(sizes)
        assert sheet == tint


async def test_a_stopped_continuation_keeps_its_text(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.hands.shut()
        await visitor.continue_text("The ")
        await visitor.hands.held()
        await visitor.step()
        await expect(visitor.sheet).to_have_value("The S")
        await visitor.sheet.press("x")
        await visitor.sheet.press("Escape")
        await expect(visitor.status).to_contain_text("stopped by you · 1 token")
        await expect(visitor.sheet).to_have_value("The S")
        await visitor.hands.stopped(1)
        await visitor.sheet.press("x")
        await expect(visitor.sheet).to_have_value("The Sx")
