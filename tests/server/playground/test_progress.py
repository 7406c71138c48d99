"""What the page tells before the first token."""

from playwright.async_api import Browser, expect

from tests.server.client import task_group
from tests.server.playground.visit import SKY, visit
from tests.server.raw import plain_http
from tests.server.scene import Scene


async def test_the_progress_of_the_prompt_shows_while_it_is_read(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.hold("q" * 150)
        for processed in (0, 64, 128):
            await visitor.tells(rf"Reading the prompt · {processed} of 1\d\d tokens")
            await expect(visitor.bar).to_have_js_property("value", processed)
            await visitor.step()
        await visitor.says("S")
        await expect(visitor.bar).to_be_hidden()


async def test_what_the_cache_spared_is_told_at_once_and_in_the_end(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("q" * 150)
        await visitor.ended()
        await visitor.hold("r" * 150)
        await visitor.tells(r"Reading the prompt · (\d+) of \d+ tokens, \1 from the cache")
        await visitor.hands.open()
        await visitor.tells(r"finished · 3 tokens · .* · prompt \d+ tokens, \d+ from the cache")


async def test_a_request_that_waits_for_its_turn_says_so_until_it_has_it(browser: Browser) -> None:
    scene = Scene(n_slots=1, scripts={None: "Sky"})
    async with visit(browser, scene) as visitor, plain_http() as http, task_group() as tasks:
        await visitor.hands.shut()
        tasks.start_soon(lambda: http.post(f"{visitor.url}/generate", json={"prompt": "x"}))
        await visitor.hands.held()
        await visitor.ask("q" * 150)
        await visitor.tells(r"Waiting for a free slot · \d+\.\d s")
        await expect(visitor.bar).to_be_hidden()
        await visitor.hands.advance_until(lambda rows: rows == {0: 64})
        await visitor.tells(r"Reading the prompt · \d of 1\d\d tokens.*")
        await expect(visitor.bar).to_be_visible()
        await visitor.hands.open()
        await visitor.says("Sky")


async def test_a_continuation_that_waits_for_its_turn_can_be_stopped(browser: Browser) -> None:
    async with visit(browser, Scene(n_slots=1)) as visitor, plain_http() as http, task_group() as tasks:
        await visitor.hands.shut()
        tasks.start_soon(lambda: http.post(f"{visitor.url}/generate", json={"prompt": "x", "max_tokens": 5}))
        await visitor.hands.held()
        await visitor.continue_text("The ")
        await visitor.tells(r"Waiting for a free slot · \d+\.\d s")
        await visitor.button("Stop").click()
        await visitor.tells("stopped by you · 0 tokens")
        await expect(visitor.sheet).to_have_value("The ")
        await visitor.hands.open()
