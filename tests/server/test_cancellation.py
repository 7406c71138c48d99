"""Calls that their caller cancels, in every state that a call can be in."""

from dataclasses import dataclass

import pytest
from anyio.abc import TaskGroup
from mcp_types import CancelledNotification, CancelledNotificationParams

from tests.server.client import ToolCall, task_group
from tests.server.scene import Scene
from tests.server.serving import Door, Opened, every_door, opened
from tests.server.stage import End

NEIGHBOUR_TEXT = "".join(f"{number} " for number in range(60))
VICTIM_PROMPT = "v" * 200
BATCH = 64


@dataclass(frozen=True)
class State:
    """Where a call is when it is cancelled, and how far its engine must be let go for it to end."""

    name: str
    slots: int
    victim_rows: int
    steps: int

    def __str__(self) -> str:
        return self.name


# A decode with many rows of the victim is aborted; otherwise the one that runs comes to its end first.
STATES = [State("queued", 1, 0, 1), State("prefill", 2, BATCH - 1, 0), State("decode", 2, 1, 1)]
in_every_state = pytest.mark.parametrize("state", STATES, ids=str)


def scene(state: State) -> Scene:
    return Scene(
        scripts={"neighbour": NEIGHBOUR_TEXT, VICTIM_PROMPT: "x" * 400}, n_slots=state.slots, n_batch=BATCH, n_ctx=800
    )


async def reach(server: Opened, state: State, tasks: TaskGroup) -> tuple[ToolCall, ToolCall]:
    """A neighbour that is being answered, and a victim in the wanted state; the engine is held inside a decode."""
    await server.stage.shut()
    neighbour = server.neighbour.tool_call("generate", {"prompt": "neighbour", "max_tokens": 400})
    victim = server.client.tool_call("generate", {"prompt": VICTIM_PROMPT, "max_tokens": 400})
    tasks.start_soon(neighbour.run)
    await server.stage.held()
    tasks.start_soon(victim.run)
    if state.name == "queued":
        await server.stage.made(2)
        await server.stage.step()
        await server.stage.held()
    elif state.name == "prefill":
        await server.stage.advance_until(lambda rows: max(rows.values()) == state.victim_rows)
    else:
        await server.stage.advance_until(lambda rows: max(rows.values()) > 1 and len(rows) == 2)
        await server.stage.advance_until(lambda rows: list(rows.values()) == [1, 1])
    return neighbour, victim


async def check_freed(server: Opened, state: State, neighbour: ToolCall) -> None:
    """The victim ends within a step of its cancellation, and nobody else feels it."""
    await server.stage.stopped(1)
    for _ in range(state.steps):
        await server.stage.step()
    (end,) = await server.stage.ended(1)
    assert end.reason == "abort"
    assert await server.stage.running() == 1
    assert neighbour.outcome is None
    await server.stage.open()


async def check_after(server: Opened, neighbour: ToolCall) -> None:
    """The neighbour's answer is what it always is, and the freed slot serves again."""
    assert neighbour.text == neighbour.messages == NEIGHBOUR_TEXT
    again = await server.client.call("generate", {"prompt": VICTIM_PROMPT, "max_tokens": 30})
    assert again.text == "x" * 30
    ends = await server.stage.ended(3)
    assert ends[1:] == [End("stop", len(NEIGHBOUR_TEXT)), End("length", 30)]


@every_door
@in_every_state
async def test_leaving_a_call_frees_its_slot_within_a_step(door: Door, state: State) -> None:
    async with opened(door, scene(state)) as server:
        async with task_group() as tasks:
            neighbour, victim = await reach(server, state, tasks)
            victim.scope.cancel()
            await check_freed(server, state, neighbour)
        assert victim.outcome is None
        await check_after(server, neighbour)


@pytest.mark.parametrize(
    "door", [Door("http", "legacy"), *(Door(t, e) for t in ("sse", "stdio") for e in ("modern", "legacy"))], ids=str
)
@in_every_state
async def test_a_cancelled_notification_frees_the_slot_within_a_step(door: Door, state: State) -> None:
    async with opened(door, scene(state)) as server:
        async with task_group() as tasks:
            neighbour, victim = await reach(server, state, tasks)
            params = CancelledNotificationParams(request_id=victim.id, reason="changed my mind")
            await server.client.client.session.send_notification(CancelledNotification(params=params))
            await check_freed(server, state, neighbour)
            victim.scope.cancel()
        await check_after(server, neighbour)
        assert not any(getattr(answer, "result", None) for answer in victim.answers), "a cancelled call has no result"


@every_door
async def test_a_call_without_progress_can_be_cancelled_too(door: Door) -> None:
    state = STATES[2]
    async with opened(door, scene(state)) as server:
        await server.stage.shut()
        victim = server.client.tool_call("generate", {"prompt": VICTIM_PROMPT, "max_tokens": 400}, progress=False)
        async with task_group() as tasks:
            tasks.start_soon(victim.run)
            await server.stage.advance_until(lambda rows: list(rows.values()) == [1])
            victim.scope.cancel()
            await server.stage.stopped(1)
            await server.stage.step()
            (end,) = await server.stage.ended(1)
        assert end.reason == "abort"
        assert await server.stage.running() == 0
        await server.stage.open()


@every_door
async def test_a_timeout_of_the_client_cancels_the_call(door: Door) -> None:
    async with opened(door, Scene()) as server:
        await server.stage.shut()
        with pytest.raises(Exception, match=r"(?i)timed? ?out"):
            await server.client.client.call_tool("generate", {"prompt": "slow", "max_tokens": 400}, 0.2)
        await server.stage.stopped(1)
        await server.stage.step()
        (end,) = await server.stage.ended(1)
        assert end.reason == "abort"
        await server.stage.open()
