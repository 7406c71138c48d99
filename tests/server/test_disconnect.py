"""Clients that hang up in the middle of a call."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from tests.server.client import Era, task_group
from tests.server.raw import last_message, raw_http, raw_sse, tool_call
from tests.server.raw_stdio import raw_stdio
from tests.server.scene import Scene
from tests.server.serving import PLAIN_DOOR, Control, Opened, connected_http, every_era, in_process, staged
from tests.server.stage import End

VICTIM = {"prompt": "v" * 200, "max_tokens": 400}
NEIGHBOUR = {"prompt": "neighbour", "max_tokens": 400}
NEIGHBOUR_TEXT = "".join(f"{number} " for number in range(60))
SCRIPTS: dict[str | None, str] = {"neighbour": NEIGHBOUR_TEXT, "v" * 200: "x" * 400}

Call = Callable[[str, Era], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def call_over_http(url: str, era: Era) -> AsyncGenerator[None]:
    async with raw_http(url, era) as client, client.stream(tool_call(era, 1, "generate", VICTIM)):
        yield


@asynccontextmanager
async def call_over_sse(url: str, era: Era) -> AsyncGenerator[None]:
    async with raw_sse(url, era) as client:
        await client.post(tool_call(era, 1, "generate", VICTIM))
        yield


@asynccontextmanager
async def neighboured(slots: int) -> AsyncGenerator[tuple[Opened, str]]:
    """A server with a call that is being answered and must not feel what happens; it is held inside a decode."""
    async with (
        staged(Scene(scripts=SCRIPTS, n_slots=slots)) as (stage, url),
        connected_http(url, PLAIN_DOOR) as neighbour,
    ):
        server = Opened(in_process(stage), neighbour, neighbour)
        await server.stage.shut()
        call = neighbour.tool_call("generate", NEIGHBOUR)
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            await server.stage.held()
            yield server, url
            await server.stage.open()
        assert call.text == call.messages == NEIGHBOUR_TEXT
        assert End("stop", len(NEIGHBOUR_TEXT)) in await server.stage.ended(2)


in_every_state = pytest.mark.parametrize("state", ["queued", "prefill", "decode"])
over_both = pytest.mark.parametrize("call", [call_over_http, call_over_sse], ids=["http", "sse"])


async def check_aborted(server: Opened, state: str) -> None:
    """The call that lost its client ends within a step, and only that one."""
    await server.stage.stopped(1)
    if state != "prefill":
        await server.stage.step()
    (end,) = await server.stage.ended(1)
    assert end.reason == "abort"
    assert await server.stage.running() == 1


@every_era
@over_both
@in_every_state
async def test_hanging_up_aborts_the_call(call: Call, era: Era, state: str) -> None:
    async with neighboured(1 if state == "queued" else 2) as (server, url):
        async with call(url, era):
            await server.stage.made(2)
            if state == "prefill":
                await server.stage.advance_until(lambda rows: max(rows.values()) > 60)
            elif state == "decode":
                await server.stage.advance_until(lambda rows: max(rows.values()) > 1 and len(rows) == 2)
                await server.stage.advance_until(lambda rows: list(rows.values()) == [1, 1])
        await check_aborted(server, state)


@every_era
async def test_hanging_up_aborts_a_call_that_sends_nothing(era: Era) -> None:
    async with neighboured(1) as (server, url):
        async with raw_http(url, era) as client, task_group() as tasks:
            # Without notifications there are no headers to wait for, so the request is left on its way.
            tasks.start_soon(client.post, tool_call(era, 1, "generate", VICTIM, progress=False))
            await server.stage.made(2)
            tasks.cancel_scope.cancel()
        await check_aborted(server, "queued")


async def test_hanging_up_ends_only_the_call_of_that_response_in_a_legacy_session() -> None:
    async with neighboured(3) as (server, url), raw_http(url, "legacy") as client:
        other = tool_call("legacy", 2, "generate", {"prompt": "other", "max_tokens": 12})
        async with client.stream(other) as other_response:
            await server.stage.made(2)
            async with client.stream(tool_call("legacy", 1, "generate", VICTIM)):
                await server.stage.made(3)
            await server.stage.stopped(1)
            await server.stage.step()
            (end,) = await server.stage.ended(1)
            assert end.reason == "abort"
            await server.stage.open()
            message = await last_message(other_response)
            assert len(message["result"]["structuredContent"]["text"]) == 12


async def test_deleting_a_legacy_session_aborts_its_calls_and_no_others() -> None:
    async with neighboured(2) as (server, url), raw_http(url, "legacy") as client:
        async with client.stream(tool_call("legacy", 1, "generate", VICTIM)) as response:
            await server.stage.made(2)
            deleted = await client.http.delete(client.url, headers=client.session)
            assert deleted.status_code == 200
            await check_aborted(server, "queued")
            async for line in response.aiter_lines():
                assert "result" not in line
        gone = await client.post(tool_call("legacy", 2, "generate", VICTIM))
        assert gone.status_code == 404


async def test_a_call_on_a_live_sse_connection_is_not_taken_for_abandoned() -> None:
    # Its request is a POST that ended before the call began, which looks like a client that is gone.
    async with staged(Scene(scripts=SCRIPTS)) as (stage, url), raw_sse(url, "legacy") as client:
        stage.shut()
        await client.post(tool_call("legacy", 1, "generate", NEIGHBOUR))
        hands = in_process(stage)
        await hands.held()
        for _ in range(5):
            await hands.step()
            await hands.held()
        stage.open()
        message = await client.receive()
        while "result" not in message:
            message = await client.receive()
        assert message["result"]["structuredContent"]["text"] == NEIGHBOUR_TEXT
        assert await hands.ended(1) == [End("stop", len(NEIGHBOUR_TEXT))]


@every_era
@pytest.mark.parametrize("progress", [True, False], ids=["with progress", "silent"])
async def test_the_end_of_stdin_aborts_the_call_and_ends_the_process(era: Era, progress: bool) -> None:
    with Control(Scene(scripts=SCRIPTS)) as control:
        async with raw_stdio(era, control.command) as client:
            await control.hands.shut()
            await client.send(tool_call(era, 1, "generate", VICTIM, progress=progress))
            await control.hands.held()
            client.close_stdin()
            assert await client.ended(5) == 0
            assert "finish=abort" in await client.log()
            assert not any("result" in message for message in await client.receive_rest())


async def test_a_session_survives_a_client_that_hung_up() -> None:
    async with staged(Scene(scripts=SCRIPTS)) as (stage, url), raw_http(url, "legacy") as client:
        stage.shut()
        async with client.stream(tool_call("legacy", 1, "generate", VICTIM)):
            await in_process(stage).held()
        await in_process(stage).stopped(1)
        stage.open()
        message = await last_message(await client.post(tool_call("legacy", 2, "generate", NEIGHBOUR)))
        assert message["result"]["structuredContent"]["text"] == NEIGHBOUR_TEXT
