"""Calls with a form or tools that their caller cancels: the slot and the matcher are freed, nobody else feels it."""

from typing import Any

import pytest
from mcp_types import CancelledNotification, CancelledNotificationParams

from tests.server.chats import TEMPLATE, TOOLS, USER
from tests.server.client import ToolCall, task_group
from tests.server.scene import Scene
from tests.server.serving import Door, Opened, every_door, opened

STORY = '{"city": "' + "far away, " * 60
CALLING = '<tool_call>\n{"name": "weather", "arguments": ' + STORY
NEIGHBOUR_TEXT = "".join(f"{number} " for number in range(40))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

VICTIMS: dict[str, tuple[str, dict[str, Any]]] = {
    "json": (STORY, {"json_schema": SCHEMA}),
    "regex": ("x" * 600, {"regex": "x+"}),
    "required call": (CALLING, {"tools": TOOLS, "tool_choice": "required"}),
    "free call": (CALLING, {"tools": TOOLS}),
}
every_victim = pytest.mark.parametrize("victim", VICTIMS)


def scene(victim: str) -> Scene:
    scripts = {"neighbour": NEIGHBOUR_TEXT, None: VICTIMS[victim][0]}
    return Scene(scripts=scripts, chat_template=TEMPLATE, n_ctx=2048, n_batch=512)


async def reach(server: Opened, victim: str, tasks: Any) -> tuple[ToolCall, ToolCall]:
    """A neighbour that is being answered and a victim in the middle of its text; the engine is held in a decode."""
    await server.stage.shut()
    neighbour = server.neighbour.tool_call("generate", {"prompt": "neighbour", "max_tokens": 400})
    call = server.client.tool_call("chat", {"messages": USER, "max_tokens": 900, **VICTIMS[victim][1]})
    tasks.start_soon(neighbour.run)
    await server.stage.held()
    tasks.start_soon(call.run)
    await server.stage.advance_until(lambda rows: len(rows) == 2 and max(rows.values()) > 1)
    await server.stage.step()
    await server.stage.held()
    await server.stage.step()
    await server.stage.held()
    assert await server.stage.open_constraints() == 1
    return neighbour, call


async def check(server: Opened, neighbour: ToolCall) -> None:
    """The victim ends within a step, and with it all that it had."""
    await server.stage.stopped(1)
    await server.stage.step()
    (end,) = await server.stage.ended(1)
    assert end.reason == "abort"
    assert await server.stage.running() == 1
    assert await server.stage.open_constraints() == 0
    assert neighbour.outcome is None
    await server.stage.open()


async def check_after(server: Opened, neighbour: ToolCall, victim: str) -> None:
    """The neighbour's answer is what it always is, and the same call can be made again."""
    assert neighbour.text == neighbour.messages == NEIGHBOUR_TEXT
    again = await server.client.call("chat", {"messages": USER, "max_tokens": 90, **VICTIMS[victim][1]})
    assert not again.result.is_error
    assert await server.stage.running() == 0
    assert await server.stage.open_constraints() == 0


@every_door
@every_victim
async def test_leaving_a_call_frees_its_slot_and_its_matcher_within_a_step(door: Door, victim: str) -> None:
    async with opened(door, scene(victim)) as server:
        async with task_group() as tasks:
            neighbour, call = await reach(server, victim, tasks)
            call.scope.cancel()
            await check(server, neighbour)
        assert call.outcome is None
        await check_after(server, neighbour, victim)


@pytest.mark.parametrize(
    "door", [Door("http", "legacy"), *(Door(t, e) for t in ("sse", "stdio") for e in ("modern", "legacy"))], ids=str
)
@pytest.mark.parametrize("victim", ["json", "required call"])
async def test_a_cancelled_notification_frees_slot_and_matcher_within_a_step(door: Door, victim: str) -> None:
    async with opened(door, scene(victim)) as server:
        async with task_group() as tasks:
            neighbour, call = await reach(server, victim, tasks)
            params = CancelledNotificationParams(request_id=call.id, reason="changed my mind")
            await server.client.client.session.send_notification(CancelledNotification(params=params))
            await check(server, neighbour)
            call.scope.cancel()
        await check_after(server, neighbour, victim)


@every_door
async def test_leaving_a_call_for_several_answers_frees_all_of_them(door: Door) -> None:
    async with opened(door, scene("json")) as server:
        await server.stage.shut()
        arguments = {"messages": USER, "max_tokens": 900, "n": 3, **VICTIMS["json"][1]}
        call = server.client.tool_call("chat", arguments)
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            await server.stage.advance_until(lambda rows: list(rows.values()) == [1, 1])
            assert await server.stage.open_constraints() == 3
            call.scope.cancel()
            await server.stage.stopped(3)
            await server.stage.step()
            ends = await server.stage.ended(3)
        assert [end.reason for end in ends] == ["abort"] * 3
        assert await server.stage.running() == 0
        assert await server.stage.open_constraints() == 0
        await server.stage.open()
