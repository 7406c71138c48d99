"""Calls that come before the model is there."""

from dataclasses import replace
from itertools import pairwise

import anyio

from mcp_llama.server.progress import PHASE_KEY
from mcp_llama.server.settings import ServerLimits
from tests.gate import PATIENCE_S
from tests.server.client import task_group, text_of
from tests.server.scene import Scene
from tests.server.serving import PLAIN_DOOR, Door, every_door, opened

SCENE = Scene(scripts={None: "Here I am."}, holds_load=True, server=ServerLimits(heartbeat_s=0.02))
ASK = {"prompt": "Where are you?"}


@every_door
async def test_a_call_waits_for_the_model_with_signs_of_life(door: Door) -> None:
    async with opened(door, SCENE) as server:
        call = server.client.tool_call("generate", ASK)
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            await call.heard(lambda news: len(news) >= 5)
            waiting = list(call.notifications)
            assert call.outcome is None
            await server.stage.finish_load()
    progress = [one["progress"] for one in call.notifications]
    assert call.text == call.messages == "Here I am."
    assert all(earlier < later for earlier, later in pairwise(progress)), progress
    assert {one["_meta"][PHASE_KEY] for one in waiting} == {"load"}
    assert all(one["progress"] < 1 for one in waiting)
    assert not any("message" in one for one in waiting)


@every_door
async def test_the_server_answers_everything_else_while_it_loads(door: Door) -> None:
    async with opened(door, SCENE) as server:
        client = server.client.client
        assert client.server_info is not None
        assert client.server_info.name == "mcp-llama"
        with anyio.fail_after(PATIENCE_S):
            tools = await client.list_tools()
            templates = await client.list_resource_templates()
            card = await client.read_resource("llama://models/fake")
            models = await server.client.call("models", {})
        assert {tool.name for tool in tools.tools} == {"generate", "chat", "embed", "models", "count_tokens"}
        assert templates.resource_templates
        assert '"state": "loading"' in card.contents[0].model_dump_json(by_alias=True).replace('\\"', '"')
        assert models.result.structured_content == {"models": [{"name": "fake", "state": "loading 50%"}]}
        assert models.text == "fake: loading 50%"
        await server.stage.finish_load()
        assert (await server.client.call("generate", ASK)).text == "Here I am."


@every_door
async def test_a_load_that_fails_is_told_to_those_who_wait_and_to_all_who_come(door: Door) -> None:
    scene = Scene(holds_load=True, load_error="model.gguf is damaged. Download it again.")
    async with opened(door, scene) as server:
        call = server.client.tool_call("generate", ASK)
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            await call.heard(bool)
            await server.stage.finish_load()
        later = await server.client.call("chat", {"messages": [{"role": "user", "content": "Hello?"}]})
        models = await server.client.call("models", {})
    for failed in (call, later):
        assert failed.result.is_error
        assert text_of(failed.result) == "model.gguf is damaged. Download it again."
    assert models.result.structured_content == {
        "models": [{"name": "fake", "state": "failed", "error": "model.gguf is damaged. Download it again."}]
    }


async def test_a_call_gives_up_when_the_load_takes_longer_than_it_may() -> None:
    async with opened(PLAIN_DOOR, SCENE) as server:
        patient = server.client.tool_call("generate", {**ASK, "max_time_s": 30})
        async with task_group() as tasks:
            tasks.start_soon(patient.run)
            late = await server.client.call("generate", {**ASK, "max_time_s": 0.05})
            assert patient.outcome is None
            await server.stage.finish_load()
    assert late.result.is_error
    assert text_of(late.result) == "Server busy: the model is still loading (50%). Try again in about 10 s."
    assert patient.text == "Here I am."


async def test_counting_waits_for_the_model() -> None:
    async with opened(PLAIN_DOOR, SCENE) as server:
        call = server.client.tool_call("count_tokens", {"text": "four"})
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            await server.client.call("models", {})
            assert call.outcome is None
            await server.stage.finish_load()
    assert call.result.structured_content == {"tokens": 5, "n_ctx": 1024}


@every_door
async def test_a_call_cancelled_while_it_waits_for_the_model_is_never_computed(door: Door) -> None:
    async with opened(door, replace(SCENE, server=ServerLimits())) as server:
        call = server.client.tool_call("generate", ASK)
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            await server.stage.awaited()
            call.scope.cancel()
        await server.stage.deserted()
        await server.stage.finish_load()
        other = await server.neighbour.call("generate", {"prompt": "And you?", "max_tokens": 4})
        assert other.text == "Here"
        assert len(await server.stage.ended(1)) == 1
