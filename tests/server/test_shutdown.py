"""Signals: every open call gets what it has so far, and the server ends soon."""

import logging
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest
import sse_starlette.sse

from tests.gate import PATIENCE_S
from tests.server.client import Era, task_group
from tests.server.heard import ENDLESS, PROMISED_S, Heard, every_signal
from tests.server.plain.counts import counts_of
from tests.server.plain.streams import asker
from tests.server.raw import events, raw_http, raw_sse, tool_call
from tests.server.scene import Scene
from tests.server.serving import ROOT, every_era, in_process, staged

STATUS = {signal.SIGTERM: 0, signal.SIGINT: 130}
OpenCall = Callable[[str, Era, str, Heard], Coroutine[Any, Any, None]]


class RealServer:
    """A server process and where it listens."""

    def __init__(self, process: Process, url: str) -> None:
        self.url = url
        self._process = process

    async def end(self, sig: signal.Signals) -> tuple[int, str]:
        """Send a signal; the exit status, which comes in the promised time, and what was logged."""
        self._process.send_signal(sig)
        with anyio.fail_after(PROMISED_S):
            _, errors = await self._process.communicate()
            return await self._process.wait(), errors.decode()


@asynccontextmanager
async def real_server() -> AsyncGenerator[RealServer]:
    """`mcp-llama serve` with the embedded model, ready for clients; killed if the test leaves it running."""
    process = await create_subprocess_exec(
        *(sys.executable, "-m", "mcp_llama", "serve", "--port", "0", "--n-ctx", "2048", "--n-slots", "3"),
        cwd=ROOT,
        stdout=PIPE,
        stderr=PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("MCP_LLAMA_")},
    )
    assert process.stdout is not None
    try:
        with anyio.fail_after(PATIENCE_S):
            address = None
            while address is None:
                address = re.search(rb"(http://[\d.:]+)/mcp", await process.stdout.readline())
        yield RealServer(process, address[1].decode())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def call_over_http(url: str, era: Era, prompt: str, heard: Heard, *, progress: bool = True) -> None:
    call = tool_call(era, 1, "generate", {**ENDLESS, "prompt": prompt}, progress=progress)
    # A stream that is cut ends too; what is missing then shows in what was heard.
    with suppress(httpx2.RemoteProtocolError):
        async with raw_http(url, era) as client, client.stream(call) as response:
            async for message in events(response):
                heard.add(message)


async def call_over_sse(url: str, era: Era, prompt: str, heard: Heard) -> None:
    with suppress(httpx2.RemoteProtocolError, EOFError):
        async with raw_sse(url, era) as client:
            await client.post(tool_call(era, 1, "generate", {**ENDLESS, "prompt": prompt}))
            while not (heard.messages and "result" in heard.messages[-1]):
                heard.add(await client.receive())


@asynccontextmanager
async def standalone_stream(url: str) -> AsyncGenerator[httpx2.Response]:
    """The stream of a legacy session for what belongs to no call; the server must end it, not cut it."""
    async with raw_http(url, "legacy") as client:
        headers = {**client.headers({}), "Accept": "text/event-stream"}
        async with client.http.stream("GET", client.url, headers=headers) as response:
            assert response.status_code == 200
            yield response
            await response.aread()


@every_signal
async def test_a_server_with_open_connections_answers_all_and_ends_in_time(sig: signal.Signals) -> None:
    modern, legacy, sse, queued = (Heard() for _ in range(4))
    async with (
        real_server() as server,
        raw_sse(server.url, "legacy"),
        standalone_stream(server.url),
        task_group() as tasks,
    ):
        tasks.start_soon(call_over_http, server.url, "modern", "A modern tale:", modern)
        tasks.start_soon(call_over_http, server.url, "legacy", "A legacy tale:", legacy)
        tasks.start_soon(call_over_sse, server.url, "legacy", "A tale of events:", sse)
        with anyio.fail_after(30):
            for heard in (modern, legacy, sse):
                await heard.spoke.wait()
            tasks.start_soon(call_over_http, server.url, "modern", "A late tale:", queued)
            async with asker(server.url) as operator:
                while (await counts_of(operator)).waiting == 0:
                    pass
        status, logged = await server.end(sig)
    assert status == STATUS[sig]
    assert "Traceback" not in logged
    assert "ERROR" not in logged
    for heard in (modern, legacy, sse, queued):
        heard.check()
    assert queued.text == ""


class Hasty:
    """anyio for sse-starlette, whose watch for the shutdown then looks at the worst possible moment: at once."""

    def __getattr__(self, name: str) -> Any:
        return getattr(anyio, name)

    async def sleep(self, _: float) -> None:
        await anyio.sleep(0.001)


@every_era
@pytest.mark.parametrize("call", [call_over_http, call_over_sse], ids=["http", "sse"])
@pytest.mark.parametrize("state", ["decode", "queued"])
async def test_a_stream_is_not_cut_before_its_result(
    call: OpenCall, era: Era, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse_starlette.sse, "anyio", Hasty())
    heard, other = Heard(), Heard()
    async with staged(Scene(n_slots=1 if state == "queued" else 2, n_ctx=2048)) as (stage, url):
        hands = in_process(stage)
        await hands.shut()
        async with task_group() as tasks:
            tasks.start_soon(call_over_http, url, "modern", "other", other)
            await hands.held()
            tasks.start_soon(call, url, era, "this", heard)
            await hands.made(2)
            if state == "decode":
                await hands.advance_until(lambda rows: list(rows.values()) == [1, 1])
            signal.raise_signal(signal.SIGTERM)
    heard.check()
    other.check()


async def test_a_stream_of_events_without_a_call_ends_in_order(caplog: pytest.LogCaptureFixture) -> None:
    async with staged(Scene()) as (_, url), asker(url) as client, client.http.stream("GET", f"{url}/sse") as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "event: endpoint"
        signal.raise_signal(signal.SIGTERM)
        with anyio.fail_after(PATIENCE_S):
            assert [line async for line in lines if not line.startswith("data: /messages/")] == [""]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@every_era
async def test_a_silent_call_is_answered_at_the_shutdown(era: Era) -> None:
    heard = Heard()
    async with staged(Scene(n_ctx=2048)) as (stage, url):
        await in_process(stage).shut()
        async with task_group() as tasks:
            tasks.start_soon(partial(call_over_http, url, era, "silent", heard, progress=False))
            await in_process(stage).held()
            signal.raise_signal(signal.SIGTERM)
    (answer,) = heard.messages
    assert answer["result"]["structuredContent"]["finish_reason"] == "abort"


async def test_a_decode_that_cannot_be_aborted_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse_starlette.sse, "anyio", Hasty())
    heard = Heard()
    async with staged(Scene(n_ctx=2048, decode_delay=0.4)) as (stage, url), task_group() as tasks:
        stage.model.abort = _do_nothing
        tasks.start_soon(call_over_http, url, "legacy", "slow", heard)
        await heard.spoke.wait()
        signal.raise_signal(signal.SIGTERM)
    heard.check()


@every_era
async def test_a_call_that_waits_for_the_model_is_told_of_the_shutdown(era: Era) -> None:
    heard = Heard()
    async with staged(Scene(holds_load=True, n_ctx=2048)) as (_, url), task_group() as tasks:
        tasks.start_soon(call_over_http, url, era, "early", heard)
        await heard.began.wait()
        signal.raise_signal(signal.SIGTERM)
    result = heard.messages[-1]["result"]
    assert result["isError"]
    assert result["content"][0]["text"] == "Loading fake was stopped: the server is shutting down."


def _do_nothing() -> None:
    pass
