"""The request as a command."""

import json
import shlex
import shutil
from typing import Any

import anyio
import pytest
from playwright.async_api import Browser, expect

from tests.server.playground.visit import SKY, visit
from tests.server.scene import Scene

AWKWARD = """It's "fine" at 100 % \\ $HOME `ls` !! 'so' \\n"""


def curl_body(command: str) -> dict[str, Any]:
    *_, flag, body = shlex.split(command.replace("\\\n", " "))
    assert flag == "-d"
    return json.loads(body)


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
        before = await visitor.curl()
        await box.press("Control+Enter")
        await expect(visitor.page.get_by_text("As it was sent")).to_be_visible()
        await visitor.ended()
        (body,) = visitor.log.sent
        assert AWKWARD in (body.get("prompt"), body.get("messages", [{}])[-1].get("content"))
        assert curl_body(before) == curl_body(await visitor.curl()) == body


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("mode", ["Chat", "Completion"])
async def test_the_curl_command_runs_in_a_shell(browser: Browser, mode: str) -> None:
    async with visit(browser, Scene(scripts={None: "S"})) as visitor:
        await visitor.choose(mode)
        await (visitor.draft if mode == "Chat" else visitor.sheet).fill(AWKWARD)
        run = await anyio.run_process(["sh", "-c", await visitor.curl()])
        assert '"S"' in run.stdout.decode()
        assert run.stdout.decode().endswith("data: [DONE]\n\n")
