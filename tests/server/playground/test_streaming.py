"""Tokens, as they reach the page."""

from playwright.async_api import Browser, expect

from tests.server.playground.visit import SKY, visit
from tests.server.scene import SPEECH, Scene

HTML = '<img src="x" onerror="document.title = 1"><b>bold</b> &amp; <script>1</script>'


async def test_the_tokens_of_an_answer_appear_one_after_another(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.hold("Why?")
        for text in ("", "S", "Sk", "Sky"):
            await visitor.says(text)
            await visitor.step() if text != "Sky" else await visitor.hands.step()
        await expect(visitor.status).to_contain_text("finished")
        await visitor.says("Sky")


async def test_the_tokens_of_a_continuation_appear_one_after_another_marked_as_the_models(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.hands.shut()
        await visitor.continue_text("The ")
        await visitor.hands.held()
        for text in ("S", "Sk", "Sky"):
            await visitor.step()
            await expect(visitor.sheet).to_have_value(f"The {text}")
            await expect(visitor.page.locator("#tint mark")).to_have_js_property("textContent", text)
        await visitor.hands.step()
        await expect(visitor.status).to_contain_text("finished")


async def test_pace_and_first_token_show_while_tokens_arrive(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.hold("Why?")
        await visitor.step()
        await visitor.tells(r"1 token · first after \d+ ms")
        await visitor.step()
        await visitor.tells(r"2 tokens · \d+\.\d tokens/s · first after \d+ ms")


async def test_the_tokens_of_a_character_count_before_it_is_whole(browser: Browser) -> None:
    async with visit(browser, Scene(scripts={None: "👍"})) as visitor:
        await visitor.hands.shut()
        await visitor.continue_text("The ")
        await visitor.hands.held()
        await visitor.step()
        await visitor.step()
        await expect(visitor.status).to_contain_text("2 tokens")
        await expect(visitor.sheet).to_have_value("The ")


async def test_the_tokens_of_a_stopped_chat_are_counted_as_the_server_does(browser: Browser) -> None:
    async with visit(browser, Scene(scripts={None: "👍👍"})) as visitor:
        await visitor.hold("Why?")
        for _ in range(4):
            await visitor.step()
        await visitor.says("👍")
        await visitor.tells(r"4 tokens · \d+\.\d tokens/s · first after .*")
        await visitor.button("Stop").click()
        await visitor.tells(r"stopped by you · 4 tokens · \d+\.\d tokens/s · first after .*")
        await expect(visitor.announced).to_have_text("Stopped, 4 tokens")


async def test_a_burst_of_tokens_is_drawn_once_a_frame(browser: Browser) -> None:
    count = """
        globalThis.drawn = globalThis.frames_ = 0;
        const append = CharacterData.prototype.appendData;
        CharacterData.prototype.appendData = function (text) { globalThis.drawn += 1; append.call(this, text); };
        const tick = () => { globalThis.frames_ += 1; requestAnimationFrame(tick); };
        tick();
    """
    text = "x" * 700
    async with visit(browser, Scene(scripts={None: text}), script=count) as visitor:
        await visitor.ask("Why?")
        await expect(visitor.status).to_contain_text("700 tokens")
        await visitor.says(text)
        drawn, frames = await visitor.page.evaluate("() => [globalThis.drawn, globalThis.frames_]")
        assert 0 < drawn <= frames + 1


async def test_all_scripts_and_characters_arrive_as_they_are(browser: Browser) -> None:
    async with visit(browser, Scene(scripts={None: SPEECH})) as visitor:
        await visitor.ask("Why?")
        await visitor.says(SPEECH)
        await visitor.continue_text("The ")
        await expect(visitor.sheet).to_have_value("The " + SPEECH.replace("\r\n", "\n"))


async def test_html_is_text(browser: Browser) -> None:
    async with visit(browser, Scene(scripts={None: HTML})) as visitor:
        await visitor.ask(HTML)
        await visitor.says(HTML)
        await expect(visitor.page.locator(".turn.user .words")).to_have_js_property("textContent", HTML)
        await expect(visitor.page.locator(".turn :is(img, b, script)")).to_have_count(0)
        assert await visitor.page.title() == "Playground · mcp-llama"
