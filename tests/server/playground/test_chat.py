"""The conversation."""

from playwright.async_api import Browser, expect

from tests.fake_model import CHAT_TEMPLATE
from tests.server.playground.visit import SKY, visit
from tests.server.scene import Scene

REASONING = Scene(
    scripts={None: ["<think>", "It ", "scatters.", "</think>", "Sky"]}, chat_template=CHAT_TEMPLATE + "{# </think> #}"
)


async def test_an_answer_that_was_cut_off_can_be_continued(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.field("max_tokens").fill("2")
        await visitor.ask("Why?")
        await expect(visitor.status).to_contain_text("stopped at max_tokens")
        await visitor.field("max_tokens").fill("")
        await visitor.button("Continue").click()
        await visitor.says("SkSky")
        assert visitor.log.sent[-1]["messages"][-1] == {"role": "assistant", "content": "Sk"}
        await expect(visitor.page.locator(".turn")).to_have_count(2)


async def test_an_answer_can_be_asked_for_again(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await visitor.field("max_tokens").fill("2")
        await visitor.button("Retry").click()
        await visitor.says("Sk")
        assert visitor.log.sent[0]["messages"] == visitor.log.sent[1]["messages"]
        await expect(visitor.page.locator(".turn")).to_have_count(2)


async def test_a_new_chat_forgets_the_old_one(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await visitor.button("New chat").click()
        await expect(visitor.page.locator(".turn")).to_have_count(0)
        await expect(visitor.draft).to_be_focused()
        await visitor.ask("How?")
        await visitor.says("Sky")
        assert visitor.log.sent[-1]["messages"] == [{"role": "user", "content": "How?"}]


async def test_the_next_message_can_be_written_but_not_sent_while_an_answer_comes(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.hold("Why?")
        await visitor.ask("And then?")
        await visitor.hands.open()
        await visitor.says("Sky")
        await visitor.ended()
        await expect(visitor.draft).to_have_value("And then?")
        assert len(visitor.log.sent) == 1


async def test_reasoning_is_kept_apart_from_the_answer(browser: Browser) -> None:
    async with visit(browser, REASONING) as visitor:
        await visitor.ask("Why?")
        await visitor.says("Sky")
        reasoning = visitor.page.locator(".turn.assistant .reasoning")
        await reasoning.get_by_text("Reasoning").click()
        await expect(reasoning.locator("div")).to_have_text("It scatters.")
        await expect(reasoning.locator("div")).to_be_visible()


async def test_an_answer_without_reasoning_shows_none(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("Why?")
        await visitor.says("Sky")
        await expect(visitor.page.locator(".turn.assistant .reasoning")).to_be_hidden()
