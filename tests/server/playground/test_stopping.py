"""Stopping an answer, and what is left of it."""

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Browser, expect

from tests.server.playground.visit import SKY, Visit, visit
from tests.server.scene import Scene

Do = Callable[[Visit], Awaitable[None]]


async def press_stop(visitor: Visit) -> None:
    await visitor.button("Stop").click()


async def press_escape(visitor: Visit) -> None:
    await visitor.page.keyboard.press("Escape")


async def press_new(visitor: Visit) -> None:
    await visitor.button("New chat").click()


async def leave(visitor: Visit) -> None:
    await visitor.page.goto("about:blank")


@pytest.mark.parametrize("stop", [press_stop, press_escape, press_new, leave])
async def test_the_engine_stops_at_once_with_the_page(browser: Browser, stop: Do) -> None:
    async with visit(browser, Scene(scripts={None: "x" * 500})) as visitor:
        await visitor.hold("Why?")
        await visitor.step()
        await visitor.step()
        await visitor.says("xx")
        await stop(visitor)
        await visitor.hands.stopped(1)
        await visitor.hands.step()
        (end,) = await visitor.hands.ended(1)
        assert end.reason == "abort"
        assert end.completion_tokens <= 3


async def test_a_chat_goes_on_with_the_partial_answer_after_a_stop(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.hold("Why?")
        await visitor.step()
        await visitor.says("S")
        await visitor.button("Stop").click()
        await expect(visitor.status).to_contain_text("stopped by you · 1 token")
        await visitor.says("S")
        await visitor.hands.open()
        await visitor.ask("And then?")
        await visitor.says("Sky")
        assert visitor.log.sent[-1]["messages"] == [
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": "S"},
            {"role": "user", "content": "And then?"},
        ]


async def test_what_has_no_answer_yet_is_taken_back_when_it_is_stopped(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.hold("Why?")
        await visitor.button("Stop").click()
        await expect(visitor.draft).to_have_value("Why?")
        await expect(visitor.page.locator(".turn")).to_have_count(0)
        await visitor.hands.open()
        await visitor.draft.press("Enter")
        await visitor.says("Sky")


async def test_a_double_click_on_send_does_not_stop(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.hands.shut()
        await visitor.draft.fill("Why?")
        await visitor.page.locator("#go").dblclick()
        await visitor.hands.open()
        await expect(visitor.status).to_contain_text("finished")
