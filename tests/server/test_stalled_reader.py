"""Clients that stay connected and stop reading."""

import signal
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.server.settings import ServerLimits
from tests.gate import PATIENCE_S
from tests.server.client import Era
from tests.server.hands import Hands
from tests.server.heard import PROMISED_S
from tests.server.raw import Message, events, raw_http, raw_sse, tool_call
from tests.server.raw_stdio import raw_stdio
from tests.server.scene import Scene
from tests.server.serving import PLAIN_DOOR, Control, connected_http, every_era, in_process, staged

TINY_BUFFER = (socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
TOKENS = tuple(f"{number:04}".ljust(2000, ".") for number in range(800))
TEXT = "".join(TOKENS)
STALL = {"prompt": "stall", "max_tokens": 900}
UNREAD_LIMIT = 8
BUFFERED_TOKENS = 400
"""More than what the sockets, the server and the client hold of such tokens when nobody reads; far less than all."""

ReadRest = Callable[[], Any]
Stalled = Callable[[str, Era], AbstractAsyncContextManager[ReadRest]]


@asynccontextmanager
async def stalled_http(url: str, era: Era) -> AsyncGenerator[ReadRest]:
    async with (
        raw_http(url, era, TINY_BUFFER) as client,
        client.stream(tool_call(era, 1, "generate", STALL)) as response,
    ):

        async def read_rest() -> list[Message]:
            return [message async for message in events(response)]

        yield read_rest


@asynccontextmanager
async def stalled_sse(url: str, era: Era) -> AsyncGenerator[ReadRest]:
    async with raw_sse(url, era, TINY_BUFFER) as client:
        await client.post(tool_call(era, 1, "generate", STALL))

        async def read_rest() -> list[Message]:
            messages = [await client.receive()]
            while "result" not in messages[-1]:
                messages.append(await client.receive())
            return messages

        yield read_rest


def scene(engine_timeout: float, server_timeout: float) -> Scene:
    return Scene(
        scripts={"stall": TOKENS, None: "neighbour"},
        engine=EngineLimits(unread_limit=UNREAD_LIMIT, stall_timeout=engine_timeout),
        server=ServerLimits(stall_timeout=server_timeout),
    )


over_both = pytest.mark.parametrize("stalled", [stalled_http, stalled_sse], ids=["http", "sse"])


@every_era
@over_both
async def test_a_stalled_call_pauses_alone_and_goes_on_when_it_is_read(stalled: Stalled, era: Era) -> None:
    async with (
        staged(scene(30, 30)) as (stage, url),
        connected_http(url, PLAIN_DOOR) as neighbour,
        stalled(url, era) as read_rest,
    ):
        await in_process(stage).made(1)
        await in_process(stage).quiet()
        assert stage.running() == 1
        computed = max(map(len, stage.model.slots))
        assert computed < BUFFERED_TOKENS
        for number in range(10):
            call = await neighbour.call("generate", {"prompt": f"neighbour {number}", "max_tokens": 50})
            assert call.text == call.messages == "neighbour"
        assert max(map(len, stage.model.slots)) == computed
        with anyio.fail_after(PATIENCE_S):
            messages = await read_rest()
    assert messages[-1]["result"]["structuredContent"]["text"] == TEXT
    assert "".join(message["params"].get("message", "") for message in messages[:-1]) == TEXT


@every_era
@over_both
async def test_a_call_that_stays_stalled_is_aborted_with_what_it_has(stalled: Stalled, era: Era) -> None:
    async with (
        staged(scene(0.2, 30)) as (stage, url),
        connected_http(url, PLAIN_DOOR) as neighbour,
        stalled(url, era) as read_rest,
    ):
        await check_aborted(in_process(stage))
        assert (await neighbour.call("generate", {"prompt": "more", "max_tokens": 50})).text == "neighbour"
        with anyio.fail_after(PATIENCE_S):
            messages = await read_rest()
    result = messages[-1]["result"]["structuredContent"]
    assert result["finish_reason"] == "abort"
    assert TEXT.startswith(result["text"])
    assert "".join(message["params"].get("message", "") for message in messages[:-1]) == result["text"]


@every_era
@over_both
async def test_a_call_whose_notification_is_not_taken_is_given_up(stalled: Stalled, era: Era) -> None:
    async with (
        staged(scene(30, 0.2)) as (stage, url),
        connected_http(url, PLAIN_DOOR) as neighbour,
        stalled(url, era) as read_rest,
    ):
        await check_aborted(in_process(stage))
        assert (await neighbour.call("generate", {"prompt": "more", "max_tokens": 50})).text == "neighbour"
        with anyio.fail_after(PATIENCE_S):
            messages = await read_rest()
    assert messages[-1]["result"]["isError"]
    assert messages[-1]["result"]["content"][0]["text"] == "The client stopped listening."


@every_era
@over_both
async def test_a_stalled_client_that_hangs_up_frees_its_slot(stalled: Stalled, era: Era) -> None:
    async with staged(scene(30, 30)) as (stage, url):
        async with stalled(url, era):
            await in_process(stage).made(1)
            await in_process(stage).quiet()
        await check_aborted(in_process(stage))


@every_era
@over_both
async def test_a_stalled_client_does_not_keep_the_server_from_ending(stalled: Stalled, era: Era) -> None:
    async with staged(scene(30, 30)) as (stage, url), stalled(url, era):
        await in_process(stage).made(1)
        await in_process(stage).quiet()
        signal.raise_signal(signal.SIGTERM)
        with anyio.fail_after(PROMISED_S):
            await in_process(stage).closed()


async def check_aborted(stage: Hands) -> None:
    """The stalled call ends early and leaves its slot."""
    with anyio.fail_after(PATIENCE_S):
        end = (await stage.ended(1))[-1]
        while end.reason != "abort":
            end = (await stage.ended(2))[-1]
    assert end.completion_tokens < BUFFERED_TOKENS
    assert await stage.running() == 0


@every_era
async def test_a_stalled_stdio_client_is_aborted_and_can_still_end_the_server(era: Era) -> None:
    with Control(scene(0.2, 30)) as control:
        async with raw_stdio(era, control.command, read_ahead=4096) as client:
            await client.send(tool_call(era, 1, "generate", STALL))
            await check_aborted(control.hands)
            client.close_stdin()
            assert await client.ended(PROMISED_S) == 0


async def test_a_stdio_client_that_is_stalled_in_the_middle_of_a_call_can_end_the_server() -> None:
    with Control(scene(30, 30)) as control:
        async with raw_stdio("modern", control.command, read_ahead=4096) as client:
            await client.send(tool_call("modern", 1, "generate", STALL))
            await control.hands.made(1)
            await control.hands.quiet()
            client.close_stdin()
            assert await client.ended(PROMISED_S) == 0
