"""Signals: every open request hears what became of it, and the server ends soon."""

import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec

import anyio
import httpx2
import pytest

from mcp_llama.engine.limits import EngineLimits
from tests.gate import PATIENCE_S
from tests.server.client import task_group
from tests.server.heard import PROMISED_S, every_signal
from tests.server.plain.sizes import BIG_TEXT, BIG_TOKENS, TINY_BUFFER
from tests.server.plain.streams import Asker, Stream, asker
from tests.server.plain.ways import (
    CHAT,
    COMPLETION,
    GENERATE,
    WAYS,
    Json,
    Way,
    embeddings,
    every_way,
    one_of_each,
    scripts,
)
from tests.server.scene import Scene
from tests.server.serving import ROOT, in_process, staged

STATUS = {signal.SIGTERM: 0, signal.SIGINT: 130}
ENDLESS: Json = {"max_tokens": 1500, "ignore_eos": True}
STOPPED = "Loading fake was stopped: the server is shutting down."
in_every_state = pytest.mark.parametrize("state", ["queued", "prefill", "decode"])


def check_told(stream: Stream) -> None:
    """The stream ended in order, with an error that says that the server goes."""
    assert stream.kinds[-1] == "error", stream.items[-2:]
    assert stream.items[-1].data["error"]["type"] == "unavailable_error"


def check_refused(response: httpx2.Response) -> None:
    """The whole answer is an error that says that the server goes."""
    assert response.status_code == 503
    assert response.json()["error"]["type"] == "unavailable_error"


@every_way
@in_every_state
async def test_a_stream_gets_what_there_is_and_is_told(way: Way, state: str) -> None:
    async with staged(Scene(n_slots=1 if state == "queued" else 2, n_ctx=2048)) as (stage, url), asker(url) as client:
        hands = in_process(stage)
        stage.shut()
        async with (
            client.stream(GENERATE, "other", **ENDLESS) as other,
            client.stream(way, "t" * 200, **ENDLESS) as this,
        ):
            await hands.made(2)
            if state == "prefill":
                await hands.advance_until(lambda rows: max(rows.values()) > 60)
            elif state == "decode":
                await hands.advance_until(lambda rows: list(rows.values()) == [1, 1])
            signal.raise_signal(signal.SIGTERM)
            for stream in (this, other):
                check_told(await stream.rest())
        ends = await hands.ended(2)
        assert sorted(len(stream.text) for stream in (this, other)) == sorted(end.completion_tokens for end in ends)
        with anyio.fail_after(PROMISED_S):
            await hands.closed()


async def test_every_kind_of_request_is_answered_at_once() -> None:
    streams: list[Stream] = []
    responses: list[httpx2.Response] = []

    async def read(client: Asker, way: Way) -> None:
        async with client.stream(way, f"stream {way}", **ENDLESS) as stream:
            streams.append(stream)
            await stream.rest()

    async def wait(client: Asker, request: Json) -> None:
        responses.append(await client.send(request))

    async with staged(Scene(n_slots=9, n_ctx=2048)) as (stage, url), asker(url) as client:
        stage.shut()
        async with task_group() as tasks:
            for way in WAYS:
                tasks.start_soon(read, client, way)
            for way in (GENERATE, COMPLETION, CHAT):
                tasks.start_soon(wait, client, way.request(f"whole {way}", stream=False, **ENDLESS))
            await in_process(stage).made(7)
            tasks.start_soon(wait, client, COMPLETION.request("choices", **ENDLESS, n=2, stream=False))
            await in_process(stage).made(9)
            tasks.start_soon(wait, client, embeddings("vector"))
            # Answered after the request for a vector came in, because they take the same road.
            await client.send({"method": "POST", "path": "/tokenize", "json": {"content": "x"}})
            signal.raise_signal(signal.SIGTERM)
        with anyio.fail_after(PROMISED_S):
            await in_process(stage).closed()
    assert (len(streams), len(responses)) == (4, 5)
    for stream in streams:
        check_told(stream)
    for response in responses:
        check_refused(response)


@every_way
async def test_a_request_that_waits_for_the_model_is_told(way: Way) -> None:
    responses: list[httpx2.Response] = []
    async with staged(Scene(holds_load=True)) as (_, url), asker(url) as client, task_group() as tasks:

        async def ask(request: Json) -> None:
            responses.append(await client.send(request))

        for request in (way.request("x"), way.request("x", stream=False), embeddings("x")):
            tasks.start_soon(ask, request)
        # One after the other on the same event loop: those above are waiting by now.
        for _ in range(5):
            await client.http.get(f"{url}/health")
        signal.raise_signal(signal.SIGTERM)
    assert len(responses) == 3
    for response in responses:
        check_refused(response)
        assert response.json()["error"]["message"] == STOPPED


@one_of_each
async def test_a_stalled_reader_does_not_keep_the_server_from_ending(way: Way) -> None:
    scene = Scene(scripts=scripts(big=BIG_TOKENS), engine=EngineLimits(unread_limit=8))
    async with staged(scene) as (stage, url), asker(url, TINY_BUFFER) as client:
        async with client.stream(way, "big", max_tokens=900) as stream:
            await in_process(stage).made(1)
            await in_process(stage).quiet()
            signal.raise_signal(signal.SIGTERM)
            with anyio.fail_after(PROMISED_S):
                await in_process(stage).closed()
        assert BIG_TEXT.startswith(stream.text)


@every_signal
async def test_a_real_server_tells_all_and_ends_in_time(sig: signal.Signals) -> None:
    command = ("-m", "mcp_llama", "serve", "--port", "0", "--n-ctx", "2048", "--n-slots", "4")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MCP_LLAMA_")}
    process = await create_subprocess_exec(sys.executable, *command, cwd=ROOT, stdout=PIPE, env=environment)
    assert process.stdout is not None
    try:
        with anyio.fail_after(PATIENCE_S * 3):
            address = None
            while address is None:
                address = re.search(rb"(http://[\d.:]+)/mcp", await process.stdout.readline())
        async with asker(address[1].decode()) as client, task_group() as tasks:
            streams: list[Stream] = []

            async def read(way: Way, spoke: anyio.Event) -> None:
                async with client.stream(way, f"A tale of {way}:", **ENDLESS) as stream:
                    streams.append(stream)
                    await stream.until_text()
                    spoke.set()
                    await stream.rest()

            spoken = [anyio.Event() for _ in WAYS]
            for way, spoke in zip(WAYS, spoken, strict=True):
                tasks.start_soon(read, way, spoke)
            with anyio.fail_after(PATIENCE_S * 3):
                for spoke in spoken:
                    await spoke.wait()
            process.send_signal(sig)
            with anyio.fail_after(PROMISED_S):
                assert await process.wait() == STATUS[sig]
        assert len(streams) == len(WAYS)
        for stream in streams:
            check_told(stream)
            assert stream.text
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
