"""The playground, as a person meets it in a browser."""

import json
import re
import shlex
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import anyio
import pytest
from playwright.async_api import Browser, Locator, Route, ViewportSize, expect

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.server.settings import ServerLimits
from tests.gate import PATIENCE_S
from tests.server.browser import PHONE, Visit, launched, visit
from tests.server.client import task_group
from tests.server.raw import plain_http
from tests.server.scene import SPEECH, Scene
from tests.server.stage import End

SKY = Scene(scripts={None: "Sky"})
HTML = '<img src="x" onerror="document.title = 1"><b>bold</b> &amp; <script>1</script>'
AWKWARD = """It's "fine" at 100 % \\ $HOME `ls` !! 'so' \\n"""
CHAT_OPTIONS = {"stream": True, "stream_options": {"include_usage": True}, "return_progress": True}
SETTINGS = {
    "temperature": "0.5",
    "top_p": "0.9",
    "top_k": "40",
    "min_p": "0.1",
    "repeat_penalty": "1.1",
    "max_tokens": "7",
    "seed": "42",
    "stop": "END\n\\n",
}
SAMPLING = {
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.1,
    "repeat_penalty": 1.1,
    "max_tokens": 7,
    "seed": 42,
    "stop": ["END", "\n"],
}

Do = Callable[[Visit], Awaitable[None]]


@pytest.fixture(scope="module")
async def browser() -> AsyncGenerator[Browser]:
    async with launched() as browser:
        yield browser


async def press_stop(visitor: Visit) -> None:
    await visitor.button("Stop").click()


async def press_escape(visitor: Visit) -> None:
    await visitor.page.keyboard.press("Escape")


async def press_new(visitor: Visit) -> None:
    await visitor.button("New chat").click()


async def leave(visitor: Visit) -> None:
    await visitor.page.goto("about:blank")


async def curl(visitor: Visit) -> str:
    return await visitor.page.get_by_label("curl command").text_content() or ""


def curl_body(command: str) -> dict[str, Any]:
    *_, flag, body = shlex.split(command.replace("\\\n", " "))
    assert flag == "-d"
    return json.loads(body)


async def at_bottom(scroller: Locator, *, is_there: bool = True) -> None:
    distance = "(it) => it.scrollHeight - it.scrollTop - it.clientHeight"
    with anyio.fail_after(PATIENCE_S):
        while (await scroller.evaluate(distance) < 2) != is_there:
            await scroller.evaluate("() => new Promise(requestAnimationFrame)")


def canned(*events: str) -> Callable[[Route], Awaitable[None]]:
    """A handler that answers with these events, in lines that end as they may by the standard."""

    async def handle(route: Route) -> None:
        body = "".join(f"{event}\r\n\r\n" for event in events)
        await route.fulfill(status=200, content_type="text/event-stream", body=body)

    return handle


def line(pattern: str) -> re.Pattern[str]:
    """A whole status line; its dots have a space before them that does not break."""
    pattern = pattern.replace(" · ", r"\s· ")
    return re.compile(f"^{pattern}$")


def text_event(text: str, **more: object) -> str:
    return "data: " + json.dumps({"text": text, **more})


# Streaming


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
        await expect(visitor.status).to_have_text(line(r"1 token · first after \d+ ms"))
        await visitor.step()
        await expect(visitor.status).to_have_text(line(r"2 tokens · \d+\.\d tokens/s · first after \d+ ms"))


async def test_the_tokens_of_a_character_count_before_it_is_whole(browser: Browser) -> None:
    async with visit(browser, Scene(scripts={None: "👍"})) as visitor:
        await visitor.hands.shut()
        await visitor.continue_text("The ")
        await visitor.hands.held()
        await visitor.step()
        await visitor.step()
        await expect(visitor.status).to_contain_text("2 tokens")
        await expect(visitor.sheet).to_have_value("The ")


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


# Progress, and how it ended


async def test_the_progress_of_the_prompt_shows_while_it_is_read(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.hold("q" * 150)
        bar = visitor.page.get_by_role("progressbar", name="Prompt read")
        for processed in (64, 128):
            await visitor.step()
            await expect(visitor.status).to_have_text(line(rf"Reading the prompt · {processed} of 1\d\d tokens"))
            await expect(bar).to_have_js_property("value", processed)
        await visitor.step()
        await visitor.says("S")
        await expect(bar).to_be_hidden()


async def test_what_the_cache_spared_is_told_at_once_and_in_the_end(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("q" * 150)
        await visitor.ended()
        await visitor.hold("r" * 150)
        await visitor.step()
        await expect(visitor.status).to_have_text(line(r"Reading the prompt · \d+ of \d+ tokens, \d+ from the cache"))
        await visitor.hands.open()
        await expect(visitor.status).to_have_text(
            line(r"finished · 3 tokens · .* · prompt \d+ tokens, \d+ from the cache")
        )


async def test_a_request_that_waits_for_its_turn_says_so(browser: Browser) -> None:
    async with visit(browser, Scene(n_slots=1)) as visitor, plain_http() as http, task_group() as tasks:
        await visitor.hands.shut()
        tasks.start_soon(lambda: http.post(f"{visitor.url}/generate", json={"prompt": "x", "max_tokens": 5}))
        await visitor.hands.held()
        await visitor.ask("Why?")
        await expect(visitor.status).to_have_text(line(r"Waiting for the first token · \d+\.\d s"))
        await visitor.hands.open()
        await visitor.button("Stop").click()


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
        await expect(visitor.status).to_have_text(line(rf"{words} · {pace} · prompt 5 tokens · seed 42"))


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


# Stopping and going on


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


async def test_what_has_no_answer_yet_is_taken_back_when_it_is_stopped(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.hold("Why?")
        await visitor.button("Stop").click()
        await expect(visitor.draft).to_have_value("Why?")
        await expect(visitor.page.locator(".turn")).to_have_count(0)
        await visitor.hands.open()
        await visitor.draft.press("Enter")
        await visitor.says("Sky")


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


async def test_a_double_click_on_send_does_not_stop(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.hands.shut()
        await visitor.draft.fill("Why?")
        await visitor.page.locator("#go").dblclick()
        await visitor.hands.open()
        await expect(visitor.status).to_contain_text("finished")


# The completion mode


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


# Settings and requests


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
        for label, value in SETTINGS.items():
            await visitor.field(label).fill(value)
        await visitor.field("System message").fill("Be brief.")
        await visitor.ask("Why?")
        await visitor.says("Sky")
        await visitor.ended()
        await visitor.continue_text("The ")
        await expect(visitor.sheet).to_have_value("The Sky")
        chat, completion = visitor.log.sent
        assert {name: chat[name] for name in SAMPLING} == SAMPLING
        assert chat["messages"][0] == {"role": "system", "content": "Be brief."}
        assert completion == {"model": "fake", "prompt": "The ", **SAMPLING, "return_progress": True}


async def test_settings_and_drafts_are_remembered_until_they_are_reset(browser: Browser) -> None:
    async with visit(browser) as visitor:
        everything = {**SETTINGS, "System message": "Be brief."}
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


async def test_a_number_that_is_none_is_not_left_out_silently(browser: Browser) -> None:
    async with visit(browser) as visitor:
        await visitor.field("top_p").press_sequentially("1e")
        await visitor.ask("Why?")
        await expect(visitor.alert).to_contain_text("top_p is not a number.")
        await expect(visitor.field("top_p")).to_have_attribute("aria-invalid", "true")
        await expect(visitor.draft).to_have_value("Why?")
        assert visitor.log.sent == []


@pytest.mark.parametrize("mode", ["Chat", "Completion"])
async def test_the_curl_command_is_the_request_before_and_after_it_is_sent(browser: Browser, mode: str) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.choose(mode)
        await visitor.page.get_by_text("Request as curl").click()
        await visitor.field("stop").fill("it's")
        await visitor.field("temperature").fill("0.5")
        box = visitor.draft if mode == "Chat" else visitor.sheet
        await box.fill(AWKWARD)
        await expect(visitor.page.get_by_text("As it would be sent now")).to_be_visible()
        before = await curl(visitor)
        await box.press("Control+Enter")
        await expect(visitor.page.get_by_text("As it was sent")).to_be_visible()
        await visitor.ended()
        (body,) = visitor.log.sent
        assert AWKWARD in (body.get("prompt"), body.get("messages", [{}])[-1].get("content"))
        assert curl_body(before) == curl_body(await curl(visitor)) == body


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("mode", ["Chat", "Completion"])
async def test_the_curl_command_runs_in_a_shell(browser: Browser, mode: str) -> None:
    async with visit(browser, Scene(scripts={None: "S"})) as visitor:
        await visitor.choose(mode)
        await (visitor.draft if mode == "Chat" else visitor.sheet).fill(AWKWARD)
        run = await anyio.run_process(["sh", "-c", await curl(visitor)])
        assert '"S"' in run.stdout.decode()
        assert run.stdout.decode().endswith("data: [DONE]\n\n")


async def test_texts_can_be_copied(browser: Browser) -> None:
    async with visit(browser, SKY, permissions=["clipboard-read", "clipboard-write"]) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await visitor.button("Copy").click()
        await expect(visitor.button("Copied")).to_be_visible()
        assert await visitor.page.evaluate("() => navigator.clipboard.readText()") == "Sky"
        await visitor.page.get_by_text("Request as curl").click()
        await visitor.page.locator("#curl-copy").click()
        await expect(visitor.page.locator("#curl-copy")).to_have_text("Copied")
        assert await visitor.page.evaluate("() => navigator.clipboard.readText()") == await curl(visitor)


async def test_texts_can_be_copied_without_a_clipboard_api(browser: Browser) -> None:
    script = """
        delete Navigator.prototype.clipboard;
        document.addEventListener("copy", () => { globalThis.copied = getSelection().toString(); });
    """
    async with visit(browser, SKY, script=script) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await visitor.button("Copy").click()
        await expect(visitor.button("Copied")).to_be_visible()
        assert await visitor.page.evaluate("() => globalThis.copied") == "Sky"


# Errors


async def test_a_refusal_is_shown_and_the_input_kept(browser: Browser) -> None:
    async with visit(browser, Scene(n_ctx=64, scripts={None: "Sky"})) as visitor:
        await visitor.ask("q" * 100)
        await expect(visitor.alert).to_contain_text("but the context holds 64. Shorten the prompt by at least")
        await expect(visitor.draft).to_have_value("q" * 100)
        await expect(visitor.page.locator(".turn")).to_have_count(0)
        await visitor.ask("q")
        await visitor.says("Sky")
        await expect(visitor.alert).to_be_hidden()


async def test_a_refusal_leaves_the_sheet_as_it_was(browser: Browser) -> None:
    async with visit(browser, Scene(n_ctx=64)) as visitor:
        await visitor.continue_text("q" * 100)
        await expect(visitor.alert).to_contain_text("but the context holds 64.")
        await expect(visitor.sheet).to_have_value("q" * 100)
        await expect(visitor.sheet).to_be_editable()


async def test_a_refused_retry_keeps_the_answer_that_was_there(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await visitor.field("max_tokens").fill("5000")
        await visitor.button("Retry").click()
        await expect(visitor.alert).to_contain_text("max_tokens")
        await visitor.says("Sky")


async def test_the_field_that_the_server_refuses_is_marked(browser: Browser) -> None:
    async with visit(browser) as visitor:
        await visitor.field("top_p").fill("7")
        await visitor.ask("Why?")
        await expect(visitor.alert).to_contain_text("top_p")
        await expect(visitor.field("top_p")).to_have_attribute("aria-invalid", "true")
        await visitor.field("top_p").fill("0.7")
        await expect(visitor.field("top_p")).not_to_have_attribute("aria-invalid", "true")


async def test_a_full_queue_is_told_with_the_time_to_wait(browser: Browser) -> None:
    scene = Scene(n_slots=1, engine=EngineLimits(max_queue=1))
    async with visit(browser, scene) as visitor, plain_http() as http, task_group() as tasks:
        await visitor.hands.shut()
        for _ in range(2):
            tasks.start_soon(lambda: http.post(f"{visitor.url}/generate", json={"prompt": "x", "max_tokens": 2}))
        await visitor.hands.made(2)
        await visitor.ask("Why?")
        await expect(visitor.alert).to_contain_text(re.compile(r"Server busy: .* Try again in about \d+ s\."))
        await visitor.hands.open()


async def test_an_error_in_mid_stream_keeps_what_came(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.hold("Why?")
        await visitor.step()
        await visitor.says("S")
        visitor.stage.model.fault = lambda _: AssertionError("secret")
        await visitor.hands.open()
        told = visitor.alert.get_by_role("paragraph")
        await expect(told).to_have_text("The engine failed. Its log has the details; restart the server.")
        await expect(visitor.status).to_contain_text("broken off · 1 token")
        await visitor.says("S")
        await expect(visitor.button("Retry")).to_be_visible()
        await expect(visitor.page.get_by_text("Failed", exact=True)).to_be_visible()


async def test_a_stream_without_an_end_is_a_lost_connection(browser: Browser) -> None:
    async with visit(browser) as visitor:
        events = [": ping", text_event("S", completion_tokens=1), ": ping", text_event("k", completion_tokens=2)]
        await visitor.page.route("**/generate/stream", canned(*events))
        await visitor.continue_text("The ")
        await expect(visitor.alert).to_contain_text("The connection to the server was lost")
        await expect(visitor.sheet).to_have_value("The Sk")
        await expect(visitor.status).to_contain_text("broken off")


async def test_an_answer_of_something_between_is_shown(browser: Browser) -> None:
    async with visit(browser) as visitor:
        await visitor.page.route(
            "**/v1/chat/completions", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>")
        )
        await visitor.ask("Why?")
        await expect(visitor.alert).to_contain_text("502 Bad Gateway <h1>Bad gateway</h1>")


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


async def test_an_alert_can_be_dismissed(browser: Browser) -> None:
    async with visit(browser, Scene(n_ctx=64)) as visitor:
        await visitor.ask("q" * 100)
        await visitor.button("Dismiss").click()
        await expect(visitor.alert).to_be_hidden()
        await expect(visitor.draft).to_be_focused()


# The server's state


async def test_the_load_is_shown_until_the_model_is_ready(browser: Browser) -> None:
    async with visit(browser, Scene(holds_load=True, scripts={None: "Sky"}), is_ready=False) as visitor:
        await expect(visitor.page.get_by_text("Loading fake · 50 %")).to_be_visible()
        bar = visitor.page.get_by_role("progressbar", name="Model loaded")
        await expect(bar).to_have_js_property("value", 0.5)
        await expect(visitor.field("Model")).to_have_value("fake")
        await visitor.ask("Why?")
        await expect(visitor.status).to_have_text(line(r"Waiting for the model to load, 50 % · \d+\.\d s"))
        await visitor.hands.finish_load()
        await visitor.says("Sky")
        await expect(visitor.page.get_by_text("Ready", exact=True)).to_be_visible()
        await expect(bar).to_be_hidden()


async def test_a_load_that_failed_says_why(browser: Browser) -> None:
    async with visit(browser, Scene(load_error="model.gguf is damaged."), is_ready=False) as visitor:
        await expect(visitor.alert).to_contain_text("model.gguf is damaged.")
        await expect(visitor.page.get_by_text("Failed", exact=True)).to_be_visible()


async def test_the_page_asks_for_nothing_that_is_not_there(browser: Browser) -> None:
    async with visit(browser) as visitor:
        for name in ("API docs", "Metrics", "Health"):
            link = visitor.page.get_by_role("navigation", name="Server").get_by_role("link", name=name)
            url = await link.evaluate("(it) => it.href")
            response = await visitor.page.context.request.get(url)
            assert response.ok, url
        assert visitor.log.failed == []


async def test_nothing_on_the_page_needs_more_than_a_strict_policy(browser: Browser) -> None:
    async with visit(browser) as visitor:
        response = await visitor.page.reload()
        assert response is not None
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


# Keyboard


async def test_shift_enter_and_composing_do_not_send(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.draft.fill("Why")
        await visitor.draft.press("Shift+Enter")
        await visitor.draft.press_sequentially("now")
        composing = "(it) => it.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true}))"
        await visitor.draft.evaluate(composing)
        await expect(visitor.draft).to_have_value("Why\nnow")
        await visitor.draft.press("Enter")
        await visitor.says("Sky")
        assert [body["messages"][-1]["content"] for body in visitor.log.sent] == ["Why\nnow"]


async def test_nothing_is_sent_where_nothing_is_written(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask(" \n ")
        await visitor.draft.fill("")
        await expect(visitor.button("Send")).to_be_disabled()
        await visitor.choose("Completion")
        await visitor.sheet.press("Control+Enter")
        await expect(visitor.button("Continue")).to_be_disabled()
        assert visitor.log.sent == []


async def test_everything_can_be_reached_by_tab_in_the_order_of_the_page_and_shows_its_focus(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await visitor.page.mouse.click(5, 5)
        look = """(it) => [it, it.parentElement, it.nextElementSibling].filter(Boolean).map((one) => {
            const { outlineStyle, outlineWidth, boxShadow, borderColor } = getComputedStyle(one);
            const hasOutline = outlineStyle !== "none" && outlineWidth !== "0px";
            return [hasOutline, boxShadow, borderColor].join();
        }).join()"""
        reached: list[str] = []
        for _ in range(40):
            await visitor.page.keyboard.press("Tab")
            here = visitor.page.locator(":focus")
            if not await here.count():
                break
            name = await here.evaluate("(it) => it.id || it.value || it.dataset.act || it.textContent.trim()")
            focused = await here.evaluate(look)
            handle = await here.element_handle()
            assert handle is not None
            await handle.evaluate("(it) => it.blur()")
            assert focused != await handle.evaluate(look), name
            await handle.evaluate("(it) => it.focus()")
            reached.append(name)
        assert reached == [
            *("chat", "new"),
            *("chat", "continue", "retry", "copy"),
            *("draft", "go", "Request as curl"),
            *("model", "system", "temperature", "max_tokens", "top_p", "top_k", "min_p", "repeat_penalty", "seed"),
            *("stop", "reset", "theme"),
            *("API docs", "Metrics", "Health"),
        ]


async def test_a_person_needs_only_the_keyboard(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        keyboard = visitor.page.keyboard
        await visitor.hands.shut()
        await visitor.draft.focus()
        await keyboard.type("Why?")
        await keyboard.press("Tab")
        await keyboard.press("Enter")
        await expect(visitor.draft).to_be_focused()
        await visitor.hands.held()
        await visitor.step()
        await visitor.says("S")
        await keyboard.press("Escape")
        await expect(visitor.status).to_contain_text("stopped by you")
        await visitor.hands.open()
        for _ in range(2):
            await keyboard.press("Shift+Tab")
        await keyboard.press("Enter")
        await visitor.says("Sky")
        await expect(visitor.draft).to_be_focused()


# Screen readers


async def test_screen_readers_hear_the_beginning_and_the_end_but_no_tokens(browser: Browser) -> None:
    record = """
        globalThis.heard = [];
        document.addEventListener("DOMContentLoaded", () => {
            const note = () => globalThis.heard.push(announcer.textContent);
            new MutationObserver(note).observe(announcer, { childList: true, subtree: true, characterData: true });
        });
    """
    async with visit(browser, SKY, script=record) as visitor:
        log = visitor.page.get_by_role("log", name="Conversation")
        await visitor.hold("Why?")
        await visitor.step()
        await visitor.says("S")
        await expect(log).to_have_attribute("aria-busy", "true")
        await visitor.hands.open()
        await expect(visitor.announced).to_have_text("Done, 3 tokens")
        await expect(log).to_have_attribute("aria-busy", "false")
        assert await visitor.page.evaluate("() => globalThis.heard") == ["Generating", "Done, 3 tokens"]
        await expect(visitor.announced).to_have_attribute("aria-live", "polite")


async def test_every_control_has_a_name(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await visitor.page.get_by_text("Request as curl").click()
        roles: set[str] = set()
        for mode in ("Chat", "Completion"):
            await visitor.choose(mode)
            for role, name in await visitor.focusable():
                assert name, role
                roles.add(role)
        assert roles >= {"button", "combobox", "link", "radio", "region", "spinbutton", "textbox"}


async def test_the_page_has_landmarks_and_headings(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("Why?")
        await visitor.ended()
        await expect(visitor.page.locator("body")).to_match_aria_snapshot("""
            - banner:
              - heading "mcp-llama" [level=1]
              - group "Mode":
                - radio "Chat" [checked]
                - radio "Completion"
              - button "New chat"
            - main:
              - region "Chat":
                - log "Conversation":
                  - article:
                    - heading "You" [level=2]
                  - article:
                    - heading "fake" [level=2]
              - textbox "Message"
              - button "Send" [disabled]
            - complementary "Settings":
              - heading "Settings" [level=2]
              - combobox "Model"
              - group "Sampling":
                - spinbutton "temperature"
            - contentinfo:
              - navigation "Server":
                - link "API docs"
            - status: Done, 3 tokens
        """)


# Looks


CONTRASTS = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => [r, g, b]
        .map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const ground = (it) => {
        const colour = rgba(getComputedStyle(it).backgroundColor);
        return colour[3] === 255 || !it.parentElement ? colour : ground(it.parentElement);
    };
    const hasText = (it) => it.matches("input, textarea, select")
        || [...it.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const worst = {};
    for (const it of document.body.querySelectorAll("*")) {
        const colour = rgba(getComputedStyle(it).color);
        if (!hasText(it) || !it.checkVisibility() || colour[3] === 0) continue;
        const [one, other] = [light(colour), light(ground(it))].sort((a, b) => b - a);
        worst[it.id || it.className || it.tagName] = (one + 0.05) / (other + 0.05);
    }
    return worst;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("mode", ["Chat", "Completion"])
async def test_all_text_has_contrast_in_light_and_dark(browser: Browser, scheme: str, mode: str) -> None:
    async with visit(browser, SKY, color_scheme=scheme) as visitor:
        await visitor.choose(mode)
        await visitor.page.get_by_text("Request as curl").click()
        box = visitor.draft if mode == "Chat" else visitor.sheet
        await box.fill("Why?")
        await box.press("Control+Enter")
        await visitor.ended()
        await box.fill("Why?")
        await visitor.field("top_p").fill("7")
        await box.press("Control+Enter")
        await expect(visitor.alert).to_be_visible()
        contrasts = await visitor.page.evaluate(CONTRASTS)
        assert len(contrasts) > 20
        assert {name: ratio for name, ratio in contrasts.items() if ratio < 4.5} == {}


async def test_the_theme_follows_the_system_until_it_is_chosen(browser: Browser) -> None:
    async with visit(browser, color_scheme="light") as visitor:
        scheme = "() => getComputedStyle(document.body).backgroundColor"
        light = await visitor.page.evaluate(scheme)
        await visitor.page.emulate_media(color_scheme="dark")
        dark = await visitor.page.evaluate(scheme)
        assert light != dark
        await visitor.page.emulate_media(color_scheme="light")
        await visitor.button("Dark theme").click()
        await visitor.page.reload()
        assert await visitor.page.evaluate(scheme) == dark
        await expect(visitor.button("Dark theme")).to_have_attribute("aria-pressed", "true")
        await visitor.button("Dark theme").click()
        await visitor.page.reload()
        assert await visitor.page.evaluate(scheme) == light


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
async def test_nothing_moves_for_those_who_prefer_that(browser: Browser, motion: str) -> None:
    async with visit(browser, SKY, reduced_motion=motion) as visitor:
        await visitor.hold("Why?")
        await visitor.step()
        await visitor.says("S")
        moving = await visitor.page.evaluate("() => document.getAnimations().length > 0")
        assert moving == (motion == "no-preference")


@pytest.mark.parametrize("mode", ["Chat", "Completion"])
async def test_the_end_stays_in_view_unless_the_reader_scrolled_away(browser: Browser, mode: str) -> None:
    async with visit(browser, Scene(scripts={None: ["line\n"] * 80})) as visitor:
        await visitor.choose(mode)
        scroller = visitor.page.get_by_role("region", name=mode)
        shown = visitor.answer if mode == "Chat" else visitor.page.locator("#tint mark")
        await visitor.hands.shut()
        await (visitor.ask if mode == "Chat" else visitor.continue_text)("Why?")
        await visitor.hands.held()
        for _ in range(40):
            await visitor.step()
        await expect(shown).to_have_js_property("textContent", "line\n" * 40)
        await at_bottom(scroller)
        await expect(visitor.button("↓ Latest")).to_be_hidden()
        await scroller.hover()
        await visitor.page.mouse.wheel(0, -300)
        await at_bottom(scroller, is_there=False)
        await visitor.step()
        await expect(shown).to_have_js_property("textContent", "line\n" * 41)
        await at_bottom(scroller, is_there=False)
        await visitor.button("↓ Latest").click()
        await at_bottom(scroller)
        await visitor.step()
        await expect(shown).to_have_js_property("textContent", "line\n" * 42)
        await at_bottom(scroller)


@pytest.mark.parametrize("mode", ["Chat", "Completion"])
async def test_what_takes_room_does_not_push_the_text_out_of_view(browser: Browser, mode: str) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.choose(mode)
        await (visitor.ask if mode == "Chat" else visitor.continue_text)("Why?")
        await visitor.ended()
        await visitor.page.get_by_text("Request as curl").click()
        await visitor.page.set_viewport_size({"width": 1280, "height": 640})
        shown = visitor.answer if mode == "Chat" else visitor.page.locator("#tint mark")
        await expect(shown).to_be_in_viewport(ratio=1)
        await expect(visitor.status).to_be_in_viewport(ratio=1)


# Phones


async def is_in_view(part: Locator, size: ViewportSize) -> bool:
    box = await part.bounding_box()
    assert box is not None
    return 0 <= box["x"] <= box["x"] + box["width"] <= size["width"] and box["y"] + box["height"] <= size["height"]


async def test_the_page_fits_a_phone(browser: Browser) -> None:
    async with visit(browser, Scene(scripts={None: "long" * 100}), **PHONE) as visitor:
        size = visitor.page.viewport_size
        assert size is not None
        for mode, name in (("Chat", "Send"), ("Completion", "Continue")):
            await visitor.choose(mode)
            assert await is_in_view(visitor.button(name), size)
            assert await is_in_view(visitor.button("Settings"), size)
            tops = "() => [...document.querySelectorAll('header button')].map((it) => it.getBoundingClientRect().top)"
            assert len(set(await visitor.page.evaluate(tops))) == 1, "the header is one row"
            box = visitor.draft if mode == "Chat" else visitor.sheet
            await box.fill("Why?")
            await visitor.button(name).tap()
            await visitor.ended()
            assert await visitor.page.evaluate("() => document.documentElement.scrollWidth") == size["width"]
            assert await is_in_view(visitor.page.locator("#go"), size)


async def test_the_settings_are_a_drawer_on_a_phone(browser: Browser) -> None:
    async with visit(browser, SKY, **PHONE) as visitor:
        await expect(visitor.field("temperature")).to_be_hidden()
        await visitor.hold("Why?")
        await visitor.button("Settings").tap()
        await visitor.field("temperature").fill("0.5")
        await visitor.page.keyboard.press("Escape")
        await expect(visitor.field("temperature")).to_be_hidden()
        await expect(visitor.button("Stop")).to_be_visible()
        await visitor.hands.open()
        await visitor.says("Sky")
        await visitor.button("Settings").tap()
        await visitor.button("Close").tap()
        await expect(visitor.field("temperature")).to_be_hidden()
        await visitor.ask("Why?")
        await visitor.ended()
        assert visitor.log.sent[-1]["temperature"] == 0.5


async def test_no_input_is_so_small_that_a_phone_zooms_in(browser: Browser) -> None:
    async with visit(browser, **PHONE) as visitor:
        sizes = """() => [...document.querySelectorAll("input:not([type=radio]), textarea, select")]
            .map((it) => parseFloat(getComputedStyle(it).fontSize))"""
        assert min(await visitor.page.evaluate(sizes)) >= 16


async def test_the_engine_ends_with_what_the_page_shows(browser: Browser) -> None:
    async with visit(browser, SKY) as visitor:
        await visitor.ask("Why?")
        await expect(visitor.status).to_contain_text("finished · 3 tokens")
        assert await visitor.hands.ended(1) == [End("stop", 3)]
