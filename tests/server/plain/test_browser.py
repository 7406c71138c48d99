"""A browser: EventSource and fetch, on the pages of the server and on those of another site."""

from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page

from tests.gate import PATIENCE_S
from tests.server.plain.ways import scripts
from tests.server.playground.browser import launched
from tests.server.scene import SPEECH, Scene, split_bytes
from tests.server.serving import in_process, staged

TOKENS = split_bytes(SPEECH, 2)
SCENE = Scene(scripts=scripts(speech=TOKENS, count="one two"))
EVENT_SOURCE = """
    prompt => {
        window.seen = []; window.state = 'open'; window.text = '';
        const source = new EventSource('/generate/stream?max_tokens=300&prompt=' + encodeURIComponent(prompt));
        source.onmessage = event => {
            if (event.data === '[DONE]') { source.close(); window.state = 'done'; return; }
            window.seen.push(JSON.parse(event.data));
            window.text += window.seen.at(-1).text ?? '';
        };
        source.addEventListener('error', event => {
            source.close();
            window.state = event.data ? JSON.parse(event.data).error.message : 'lost';
        });
        window.source = source;
    }
"""
FETCH = """
    async prompt => {
        window.text = ''; window.state = 'open'; window.controller = new AbortController();
        const response = await fetch('/generate/stream', {
            method: 'POST', headers: {'Content-Type': 'application/json'}, signal: window.controller.signal,
            body: JSON.stringify({prompt, max_tokens: 300}),
        });
        const read = async () => {
            const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
            let rest = '';
            for (;;) {
                const {done, value} = await reader.read();
                if (done) break;
                const blocks = (rest + value).split('\\n\\n');
                rest = blocks.pop();
                for (const block of blocks) {
                    if (block === 'data: [DONE]') window.state = 'done';
                    else if (block.startsWith('data: ')) window.text += JSON.parse(block.slice(6)).text ?? '';
                }
            }
        };
        read().catch(error => { window.state = error.name; });
    }
"""
both = pytest.mark.parametrize("script", [EVENT_SOURCE, FETCH], ids=["EventSource", "fetch"])


@pytest.fixture(scope="module")
async def browser() -> AsyncGenerator[Browser]:
    async with launched() as browser:
        yield browser


async def opened_page(browser: Browser, url: str) -> Page:
    page = await (await browser.new_context()).new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    await page.goto(url)
    return page


async def wait_for(page: Page, name: str, value: Any) -> None:
    await page.wait_for_function(f"value => window.{name} === value", arg=value)


@both
async def test_a_script_sees_every_token_as_it_comes(browser: Browser, script: str) -> None:
    async with staged(SCENE) as (stage, url):
        page = await opened_page(browser, url)
        hands = in_process(stage)
        stage.shut()
        await page.evaluate(script, "count")
        for number in range(1, 8):
            await hands.held()
            await hands.step()
            await wait_for(page, "text", "one two"[:number])
        stage.open()
        await wait_for(page, "state", "done")
        await page.context.close()


@both
async def test_a_script_gets_every_character(browser: Browser, script: str) -> None:
    async with staged(SCENE) as (_, url):
        page = await opened_page(browser, url)
        await page.evaluate(script, "speech")
        await wait_for(page, "state", "done")
        assert await page.evaluate("window.text") == SPEECH
        await page.context.close()


@both
@pytest.mark.parametrize("leaving", ["stop", "page"])
async def test_a_script_that_stops_ends_the_work(browser: Browser, script: str, leaving: str) -> None:
    async with staged(SCENE) as (stage, url):
        page = await opened_page(browser, url)
        stage.shut()
        await page.evaluate(script, "speech")
        await in_process(stage).held()
        if leaving == "page":
            await page.context.close()
        else:
            await page.evaluate("window.source ? window.source.close() : window.controller.abort()")
        await in_process(stage).stopped(1)
        await in_process(stage).step()
        (end,) = await in_process(stage).ended(1)
        assert end.reason == "abort"
        assert stage.running() == 0
        stage.open()
        if leaving != "page":
            await page.context.close()


async def test_an_event_source_reads_what_went_wrong(browser: Browser) -> None:
    async with staged(SCENE) as (stage, url):
        page = await opened_page(browser, url)
        stage.shut()
        await page.evaluate(EVENT_SOURCE, "speech")
        await in_process(stage).held()
        stage.model.fault = lambda _: AssertionError("secret")
        stage.open()
        await wait_for(page, "state", "The engine failed. Its log has the details; restart the server.")
        await page.context.close()


@both
async def test_the_page_of_another_site_gets_nothing(browser: Browser, script: str) -> None:
    async with staged(SCENE) as (stage, url), staged(Scene()) as (_, other_site):
        page = await opened_page(browser, other_site)
        requested: list[int] = []
        page.on("response", lambda response: requested.append(response.status) if url in response.url else None)
        foreign = script.replace("'/generate/stream", f"'{url}/generate/stream")
        await page.evaluate(
            f"prompt => Promise.resolve(({foreign})(prompt)).catch(() => {{ window.state = 'lost' }})", "x"
        )
        await page.wait_for_function("window.state !== 'open'")
        assert await page.evaluate("[window.state, window.text]") == ["lost", ""]
        image = "url => new Promise(end => { const img = new Image(); img.onload = img.onerror = end; img.src = url; })"
        await page.evaluate(f"async url => {{ await ({image})(url); }}", f"{url}/generate/stream?prompt=x")
        assert stage.decodes() == 0
        await page.context.close()


async def test_the_documentation_needs_no_other_host(browser: Browser) -> None:
    async with staged(SCENE) as (_, url):
        page = await (await browser.new_context()).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.on("response", lambda response: None if response.ok else problems.append(response.url))
        await page.goto(f"{url}/docs")
        await page.get_by_text("/apply-template").first.wait_for(timeout=PATIENCE_S * 1000)
        assert {urlsplit(each).netloc for each in asked if not each.startswith("data:")} == {urlsplit(url).netloc}
        assert problems == []
        await page.context.close()
