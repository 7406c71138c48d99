"""Settings: what is sent of them."""

from playwright.async_api import Browser, expect

from tests.server.playground.values import SENT, TYPED
from tests.server.playground.visit import SKY, visit

CHAT_OPTIONS = {
    "stream": True,
    "stream_options": {"include_usage": True},
    "return_progress": True,
    "timings_per_token": True,
}


async def test_only_what_is_set_is_sent(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await visitor.continue_text("The ")
        await visitor.ended()
        chat, completion = visitor.log.sent
        messages = [{"role": "user", "content": "Why?"}]
        assert chat == {"model": "fake", "messages": messages, **CHAT_OPTIONS}
        assert completion == {"model": "fake", "prompt": "The ", "return_progress": True}


async def test_all_settings_are_sent_and_taken(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        for label, value in TYPED.items():
            await visitor.field(label).fill(value)
        await visitor.field("System message").fill("Be brief.")
        await visitor.ask("Why?")
        await visitor.says("Sky")
        await visitor.ended()
        await visitor.continue_text("The ")
        await expect(visitor.sheet).to_have_value("The Sky")
        chat, completion = visitor.log.sent
        assert {name: chat[name] for name in SENT} == SENT
        assert chat["messages"][0] == {"role": "system", "content": "Be brief."}
        assert completion == {"model": "fake", "prompt": "The ", **SENT, "return_progress": True}


async def test_a_number_that_is_none_is_not_left_out_silently(browser: Browser) -> None:
    async with visit(browser) as visitor:
        await visitor.field("top_p").press_sequentially("1e")
        await visitor.ask("Why?")
        await expect(visitor.alert).to_contain_text("top_p is not a number.")
        await expect(visitor.field("top_p")).to_have_attribute("aria-invalid", "true")
        await expect(visitor.draft).to_have_value("Why?")
        assert visitor.log.sent == []
