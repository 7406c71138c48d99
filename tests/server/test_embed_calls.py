"""What a client hears of a call of `embed`, and what becomes of the call when nobody waits for it."""

import signal
from dataclasses import replace
from itertools import pairwise
from typing import Any

import anyio
import pytest
from mcp_types import CancelledNotification, CancelledNotificationParams, JSONRPCResponse

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.server.progress import PHASE_KEY
from mcp_llama.server.settings import ServerLimits
from tests.fake_model import BOS
from tests.gate import PATIENCE_S
from tests.server.client import Era, ToolCall, task_group, text_of
from tests.server.raw import last_message, raw_http, tool_call
from tests.server.scene import Scene
from tests.server.serving import (
    PLAIN_DOOR,
    Door,
    Opened,
    connected_http,
    every_door,
    every_era,
    in_process,
    opened,
    staged,
)

BEATING = ServerLimits(heartbeat_s=0.02)
TEXTS = ["one", "two", "three"]


def progress_of(call: ToolCall) -> list[float]:
    return [notification["progress"] for notification in call.notifications]


async def check_free(server: Opened) -> None:
    """The engine, which was held in a text, takes up something else."""
    other = server.neighbour.tool_call("generate", {"prompt": "next", "max_tokens": 3})
    async with task_group() as tasks:
        tasks.start_soon(other.run)
        with anyio.fail_after(PATIENCE_S):
            while not await server.stage.decodes():
                await server.stage.held()
        await server.stage.open()
    assert len(other.text) == 3


async def test_a_full_queue_is_told() -> None:
    async with opened(PLAIN_DOOR, Scene(n_slots=1, engine=EngineLimits(max_queue=0))) as server:
        await server.stage.shut()
        ahead = server.client.tool_call("embed", {"texts": ["ahead"]})
        async with task_group() as tasks:
            tasks.start_soon(ahead.run)
            await server.stage.held()
            refused = await server.client.call("embed", {"texts": ["x"]})
            await server.stage.open()
    assert ahead.text
    assert refused.result.is_error
    assert text_of(refused.result).startswith("Server busy: 0 requests are waiting")


@every_door
async def test_a_running_call_gives_signs_of_life_and_then_its_result(door: Door) -> None:
    async with opened(door, Scene(holds_load=True, server=BEATING)) as server:
        await server.stage.shut()
        call = server.client.tool_call("embed", {"texts": ["one", "two"]})
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            await call.heard(lambda news: len(news) >= 3)
            assert {one["_meta"][PHASE_KEY] for one in call.notifications} == {"load"}
            await server.stage.finish_load()
            await server.stage.held()
            await call.heard(lambda news: [one.get("total") for one in news].count(8) >= 3)
            assert call.outcome is None
            await server.stage.open()
    assert call.text
    assert all(earlier < later for earlier, later in pairwise(progress_of(call)))
    assert progress_of(call)[0] == 0
    assert {one.get("total") for one in call.notifications} == {None, 8}
    assert all("message" not in one for one in call.notifications)
    assert isinstance(call.answers[-1], JSONRPCResponse), "nothing comes after the result"


@every_era
async def test_the_first_notification_does_not_wait_for_the_clock(era: Era) -> None:
    async with opened(Door("http", era), Scene(server=ServerLimits(heartbeat_s=3600))) as server:
        await server.stage.shut()
        call = server.client.tool_call("embed", {"texts": ["one"]})
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            await call.heard(bool)
            assert call.outcome is None
            await server.stage.open()
    assert len(call.notifications) == 1


async def test_without_a_progress_token_nothing_but_the_result_comes() -> None:
    async with opened(PLAIN_DOOR, Scene(server=BEATING)) as server:
        call = await server.client.call("embed", {"texts": ["one"]}, progress=False)
    assert len(call.answers) == 1


async def test_a_call_gives_up_when_the_load_takes_longer_than_it_may() -> None:
    scene = Scene(holds_load=True, server=replace(BEATING, max_time_s=0.1))
    async with opened(PLAIN_DOOR, scene) as server:
        call = await server.client.call("embed", {"texts": ["x"]})
    assert call.result.is_error
    assert text_of(call.result) == "Server busy: the model is still loading (50%). Try again in about 10 s."


async def test_nothing_waits_for_the_model_once_the_call_is_left() -> None:
    async with opened(PLAIN_DOOR, Scene(holds_load=True, server=BEATING)) as server:
        call = server.client.tool_call("embed", {"texts": TEXTS})
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            await call.heard(lambda news: len(news) >= 2)
            call.scope.cancel()
        await server.stage.deserted()


@every_door
async def test_leaving_a_call_frees_the_engine(door: Door) -> None:
    async with opened(door, Scene(server=BEATING)) as server:
        await server.stage.shut()
        victim = server.client.tool_call("embed", {"texts": TEXTS})
        async with task_group() as tasks:
            tasks.start_soon(victim.run)
            await server.stage.held()
            await victim.heard(lambda news: len(news) >= 2)
            victim.scope.cancel()
            await check_free(server)


@pytest.mark.parametrize("door", [Door("http", "legacy"), Door("stdio", "modern"), Door("sse", "legacy")], ids=str)
async def test_a_cancelled_notification_frees_the_engine(door: Door) -> None:
    async with opened(door, Scene()) as server:
        await server.stage.shut()
        victim = server.client.tool_call("embed", {"texts": TEXTS})
        async with task_group() as tasks:
            tasks.start_soon(victim.run)
            await server.stage.held()
            params = CancelledNotificationParams(request_id=victim.id)
            await server.client.client.session.send_notification(CancelledNotification(params=params))
            await check_free(server)
            victim.scope.cancel()


@every_era
async def test_hanging_up_frees_the_engine_and_drops_the_texts_that_are_left(era: Era) -> None:
    async with staged(Scene()) as (stage, url), connected_http(url, PLAIN_DOOR) as neighbour:
        server = Opened(in_process(stage), neighbour, neighbour)
        await server.stage.shut()
        async with raw_http(url, era) as client, client.stream(tool_call(era, 1, "embed", {"texts": ["one", "two"]})):
            await server.stage.held()
        await check_free(server)
        assert stage.model.embeds == [[BOS, *b"one"]]


@every_era
async def test_a_shutdown_answers_the_call(era: Era) -> None:
    answers: list[dict[str, Any]] = []

    async def ask(url: str) -> None:
        async with raw_http(url, era) as client:
            answers.append(await last_message(await client.post(tool_call(era, 1, "embed", {"texts": ["x"]}))))

    async with staged(Scene()) as (stage, url):
        await in_process(stage).shut()
        async with task_group() as tasks:
            tasks.start_soon(ask, url)
            await in_process(stage).held()
            signal.raise_signal(signal.SIGTERM)
    (answer,) = answers
    assert answer["result"]["isError"]
    assert answer["result"]["content"][0]["text"].startswith("Server busy: the server is stopping.")
