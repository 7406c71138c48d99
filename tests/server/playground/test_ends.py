"""How an answer ended, in words."""

import pytest
from playwright.async_api import Browser, expect

from mcp_llama.server.settings import ServerLimits
from tests.server.playground.canned import canned, text_event
from tests.server.playground.visit import SKY, visit
from tests.server.scene import Scene
from tests.server.stage import End


@pytest.mark.parametrize(
    ("settings", "words"),
    [({}, "finished"), ({"max_tokens": "2"}, "stopped at max_tokens"), ({"stop": "y"}, "stopped at “y”")],
    ids=["stop", "length", "stop string"],
)
async def test_the_end_is_told_in_words_with_usage_and_seed(
    browser: Browser, settings: dict[str, str], words: str
) -> None:
    async with visit(browser, SKY) as visitor:
        for label, value in {"seed": "42", **settings}.items():
            await visitor.field(label).fill(value)
        await visitor.continue_text("Blue")
        pace = r"\d tokens · \d+\.\d tokens/s · first after \d+ ms"
        await visitor.tells(rf"{words} · {pace} · prompt 5 tokens · seed 42")


async def test_a_full_context_is_told_from_a_limit(browser: Browser) -> None:
    async with visit(browser, Scene(n_ctx=64, server=ServerLimits(max_tokens=4))) as visitor:
        await visitor.ask("Why?")
        await expect(visitor.status).to_contain_text("stopped where the context is full")
        await visitor.continue_text("The ")
        await expect(visitor.status).to_contain_text("stopped at the default max_tokens · 4 tokens")


async def test_the_end_by_the_time_limit_is_told(browser: Browser) -> None:
    async with visit(browser) as visitor:
        events = [text_event("Sky", completion_tokens=3), text_event("", finish_reason="time"), "data: [DONE]"]
        await visitor.page.route("**/generate/stream", canned(*events))
        await visitor.continue_text("The ")
        await expect(visitor.status).to_contain_text("stopped at the time limit · 3 tokens")


async def test_an_answer_without_text_is_told_from_one_to_come(browser: Browser) -> None:
    async with visit(browser, Scene(scripts={None: ""})) as visitor:
        await visitor.ask("Why?")
        await expect(visitor.status).to_contain_text("finished · 0 tokens")
        note = "(it) => getComputedStyle(it, '::before').content"
        assert await visitor.answer.evaluate(note) == '"(no text)"'


async def test_the_engine_ends_with_what_the_page_shows(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("Why?")
        await expect(visitor.status).to_contain_text("finished · 3 tokens")
        assert await visitor.hands.ended(1) == [End("stop", 3)]
