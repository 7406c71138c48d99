"""Calls that ask for several answers: all are in the result, and the first one is the call's own."""

from itertools import pairwise
from typing import Any

import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.server.progress import CHOICES_KEY
from mcp_llama.server.settings import ServerLimits
from tests.server.chats import CALL, CITY, TEMPLATE, THOUGHT, TOOLS, USER, deltas_of, joined, out_of
from tests.server.client import ToolCall, text_of
from tests.server.scene import Scene
from tests.server.serving import PLAIN_DOOR, Door, every_door, opened

TEXTS = ["One answer.", "Quite another answer, and longer.", "A third."]
PROMPT = "Speak"
ASK: dict[str, Any] = {"prompt": PROMPT, "n": 3, "seed": 7, "max_tokens": 100}


def scene(n_slots: int = 3, limits: ServerLimits | None = None) -> Scene:
    return Scene(
        by_seed={7 + n: text for n, text in enumerate(TEXTS)}, n_slots=n_slots, server=limits or ServerLimits()
    )


def check_progress(call: ToolCall, total: int) -> None:
    """Progress strictly increases, never above the total of all choices."""
    progress = [one["progress"] for one in call.notifications]
    assert all(earlier < later for earlier, later in pairwise(progress)), progress
    assert progress[-1] <= total
    assert {one["total"] for one in call.notifications if "total" in one} == {total}


@every_door
@pytest.mark.parametrize("n_slots", [1, 2, 3])
async def test_several_answers_come_with_the_first_as_the_result_itself(door: Door, n_slots: int) -> None:
    async with opened(door, scene(n_slots)) as server:
        call = await server.client.call("generate", ASK)
    out = out_of(call)
    prompt = len(PROMPT) + 1
    assert out["choices"] == [{"text": text, "finish_reason": "stop"} for text in TEXTS]
    assert (out["text"], out["finish_reason"]) == (TEXTS[0], "stop")
    assert out["usage"] == {"prompt_tokens": prompt, "completion_tokens": sum(len(text) for text in TEXTS)}
    assert [block.text for block in call.result.content if block.type == "text"] == TEXTS
    check_progress(call, 3 * (prompt + 100))


@every_door
async def test_messages_are_those_of_the_first_and_each_choice_has_its_deltas(door: Door) -> None:
    async with opened(door, scene()) as server:
        call = await server.client.call("generate", ASK)
    assert call.messages == TEXTS[0]
    assert [joined(deltas_of(call, choice))["content"] for choice in range(3)] == TEXTS
    assert {key for one in call.notifications for key in one["_meta"].get(CHOICES_KEY, {})} == {"1", "2"}


@every_door
async def test_all_answers_that_are_cut_off_count_to_the_total(door: Door) -> None:
    async with opened(door, scene()) as server:
        call = await server.client.call("generate", {**ASK, "max_tokens": 5})
    out = out_of(call)
    assert [choice["finish_reason"] for choice in out["choices"]] == ["length"] * 3
    check_progress(call, total := 3 * (len(PROMPT) + 1 + 5))
    assert call.notifications[-1]["progress"] == total


@every_door
async def test_an_interval_merges_the_deltas_of_all_choices(door: Door) -> None:
    async with opened(door, scene(limits=ServerLimits(progress_interval_ms=3_600_000))) as server:
        call = await server.client.call("generate", ASK)
    assert call.messages == TEXTS[0]
    assert [joined(deltas_of(call, choice))["content"] for choice in range(3)] == TEXTS
    assert len(call.notifications) <= 1 + 3
    check_progress(call, 3 * (len(PROMPT) + 1 + 100))


async def test_one_answer_has_no_list_of_choices() -> None:
    async with opened(PLAIN_DOOR, scene()) as server:
        call = await server.client.call("generate", {**ASK, "n": 1})
    assert "choices" not in out_of(call)
    assert all(CHOICES_KEY not in one["_meta"] for one in call.notifications)


@every_door
async def test_choices_of_a_chat_have_their_own_reasoning_and_calls(door: Door) -> None:
    model = Scene(scripts={None: (*THOUGHT, "Look:", *CALL)}, chat_template=TEMPLATE, n_ctx=2048)
    async with opened(door, model) as server:
        call = await server.client.call("chat", {"messages": USER, "tools": TOOLS, "n": 2, "max_tokens": 200})
    out = out_of(call)
    for number, choice in enumerate(out["choices"]):
        assert choice["reasoning"] == "I need a tool."
        assert choice["text"] == "Look:"
        assert choice["tool_calls"][0]["arguments"] == {"city": "Köln"}
        assert joined(deltas_of(call, number)) == {
            "content": "Look:",
            "reasoning_content": "I need a tool.",
            "tool_calls": [{"name": "weather", "arguments": CITY}],
        }
    ids = {choice["tool_calls"][0]["id"] for choice in out["choices"]}
    assert len(ids) == 2
    assert out["tool_calls"] == out["choices"][0]["tool_calls"]
    assert out["usage"]["reasoning_tokens"] == 2 * len(THOUGHT)
    assert call.messages == "Look:"


@every_door
async def test_a_form_holds_for_every_choice(door: Door) -> None:
    async with opened(door, Scene(scripts={None: "?" * 40})) as server:
        call = await server.client.call("generate", {"prompt": "x", "n": 3, "json_schema": {"enum": [17]}})
    assert [choice["parsed"] for choice in out_of(call)["choices"]] == [17, 17, 17]


async def test_more_choices_than_there_is_room_for_are_refused_and_leave_nothing_behind() -> None:
    limits = EngineLimits(max_queue=1)
    async with opened(PLAIN_DOOR, Scene(n_slots=1, engine=limits, scripts={None: "fine"})) as server:
        call = await server.client.call("generate", {"prompt": "x", "n": 3})
        after = await server.client.call("generate", {"prompt": "x", "n": 2})
    assert call.result.is_error
    assert text_of(call.result) == "n is 3, but this server takes 2 requests at once. Lower n."
    assert [choice["text"] for choice in out_of(after)["choices"]] == ["fine", "fine"]
