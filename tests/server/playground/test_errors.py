"""What goes wrong, as a person is told."""

import re

import pytest
from playwright.async_api import Browser, expect

from mcp_llama.engine.limits import EngineLimits
from tests.server.client import task_group
from tests.server.playground.canned import canned, text_event
from tests.server.playground.visit import SKY, visit
from tests.server.raw import plain_http
from tests.server.scene import Scene


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


@pytest.mark.parametrize(("name", "bad", "good"), [("top_p", "7", "0.7"), ("max_tokens", "5000", "5")])
async def test_the_field_that_the_server_refuses_is_marked(browser: Browser, name: str, bad: str, good: str) -> None:
    async with visit(browser) as visitor:
        field = visitor.field(name)
        await field.fill(bad)
        await visitor.ask("Why?")
        await expect(visitor.alert).to_contain_text(name)
        await expect(field).to_have_attribute("aria-invalid", "true")
        await field.fill(good)
        await expect(field).not_to_have_attribute("aria-invalid", "true")


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


async def test_an_alert_can_be_dismissed(browser: Browser) -> None:
    async with visit(browser, Scene(n_ctx=64)) as visitor:
        await visitor.ask("q" * 100)
        await visitor.button("Dismiss").click()
        await expect(visitor.alert).to_be_hidden()
        await expect(visitor.draft).to_be_focused()
