"""Chats with tools: what a client hears of calls while they are written, and what it gets in the end."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from mcp_llama.server.settings import ServerLimits
from tests.server.chats import (
    CALL,
    CALL_HEAD,
    CITY,
    OTHER_CALL,
    PLACE,
    TEMPLATE,
    THOUGHT,
    TOOLS,
    USER,
    WEATHER,
    deltas_of,
    joined,
    out_of,
    without_ids,
)
from tests.server.client import text_of
from tests.server.scene import Scene
from tests.server.serving import PLAIN_DOOR, Door, every_door, opened

ASK: dict[str, Any] = {"messages": USER, "tools": TOOLS, "max_tokens": 200}
WITH_CLOCK = {"name": "clock", "arguments": {"city": "Bonn"}}
WITH_WEATHER = {"name": "weather", "arguments": {"city": "Köln"}}


def scene(*pieces: str, limits: ServerLimits | None = None) -> Scene:
    return Scene(
        scripts={None: pieces},
        chat_template=TEMPLATE,
        n_batch=1024,
        one_by_one=True,
        server=limits or ServerLimits(),
    )


def called(out: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls of a result without their ids, which differ."""
    calls = out["tool_calls"]
    assert all(call["id"] for call in calls)
    assert len({call["id"] for call in calls}) == len(calls)
    return [{"name": call["name"], "arguments": call["arguments"]} for call in calls]


@every_door
async def test_a_call_is_told_by_its_name_and_then_by_pieces_of_its_arguments(door: Door) -> None:
    async with opened(door, scene(*CALL)) as server:
        call = await server.client.call("chat", ASK)
    deltas = deltas_of(call)
    named, *pieces = [piece for delta in without_ids(deltas) for piece in delta["tool_calls"]]
    assert named == {"index": 0, "id": True, "type": "function", "function": {"name": "weather", "arguments": ""}}
    assert pieces == [
        {"index": 0, "id": False, "function": {"arguments": arguments}}
        for arguments in ('{"city": "', "Kö", "ln", '"', "}")
    ]
    assert len(deltas) >= len(pieces), "each comes when it is written"
    out = out_of(call)
    assert called(out) == [WITH_WEATHER]
    assert out["tool_calls"][0]["id"] == deltas[0]["tool_calls"][0]["id"]
    assert out["finish_reason"] == "tool_calls"
    assert out["text"] == call.messages == ""
    assert "notes" not in out


@every_door
async def test_messages_are_the_text_alone_beside_reasoning_and_calls(door: Door) -> None:
    async with opened(door, scene(*THOUGHT, "Let me", " look", ".\n", *CALL, *OTHER_CALL)) as server:
        call = await server.client.call("chat", ASK)
    out = out_of(call)
    assert out["text"] == call.messages == "Let me look.\n"
    assert out["reasoning"] == "I need a tool."
    assert called(out) == [WITH_WEATHER, WITH_CLOCK]
    assert joined(deltas_of(call)) == {
        "content": "Let me look.\n",
        "reasoning_content": "I need a tool.",
        "tool_calls": [
            {"name": "weather", "arguments": CITY},
            {"name": "clock", "arguments": '{"city": "Bonn"}'},
        ],
    }
    assert out["usage"]["reasoning_tokens"] == len(THOUGHT)
    progress = [one["progress"] for one in call.notifications]
    assert all(earlier < later for earlier, later in pairwise(progress))
    assert progress[-1] <= call.notifications[-1]["total"]


@every_door
async def test_hosts_that_read_text_get_the_calls_as_json(door: Door) -> None:
    async with opened(door, scene("Look:", *CALL)) as server:
        call = await server.client.call("chat", ASK)
        bare = await server.client.call("chat", {**ASK, "tool_choice": "none"})
    text, calls = [block.text for block in call.result.content if block.type == "text"]
    assert text == "Look:"
    assert json.loads(calls) == {"tool_calls": out_of(call)["tool_calls"]}
    assert "Köln" in calls
    assert text_of(bare.result) == "Look:" + "".join(CALL)


async def test_a_call_without_text_has_no_empty_text_beside_it() -> None:
    async with opened(PLAIN_DOOR, scene(*CALL)) as server:
        call = await server.client.call("chat", ASK)
    assert json.loads(text_of(call.result)) == {"tool_calls": out_of(call)["tool_calls"]}


@every_door
@pytest.mark.parametrize(
    "pieces", [(*THOUGHT, *CALL), (*THOUGHT, "Done", "."), ("Look:", *CALL), CALL], ids=["1", "2", "3", "4"]
)
async def test_an_interval_merges_typed_deltas_and_loses_none(door: Door, pieces: tuple[str, ...]) -> None:
    limits = ServerLimits(progress_interval_ms=3_600_000)
    async with opened(door, scene(*pieces)) as server:
        each = await server.client.call("chat", ASK)
    async with opened(door, scene(*pieces, limits=limits)) as server:
        merged = await server.client.call("chat", ASK)
    assert len(merged.notifications) == 2, "the first, and all else with the last"
    assert joined(deltas_of(merged)) == joined(deltas_of(each))
    assert merged.messages == each.messages == out_of(merged)["text"]


@every_door
async def test_a_status_line_takes_the_place_of_the_text_and_not_of_the_deltas(door: Door) -> None:
    limits = ServerLimits(progress_style="status")
    async with opened(door, scene(*THOUGHT, "Look:", *CALL, limits=limits)) as server:
        call = await server.client.call("chat", ASK)
    assert joined(deltas_of(call)) == {
        "content": "Look:",
        "reasoning_content": "I need a tool.",
        "tool_calls": [{"name": "weather", "arguments": CITY}],
    }
    decoding = [one["message"] for one in call.notifications if one["_meta"]["mcp-llama/phase"] == "decode"]
    assert all(line.endswith("tok/s") for line in decoding)
    assert out_of(call)["text"] == "Look:"


@every_door
async def test_a_result_of_a_tool_goes_back_to_the_model(door: Door) -> None:
    async with opened(door, scene(*CALL)) as server:
        asked = await server.client.call("chat", ASK)
    (made,) = out_of(asked)["tool_calls"]
    for arguments in (made["arguments"], json.dumps(made["arguments"])):
        flat = {"id": made["id"], "name": "weather", "arguments": arguments}
        nested = {"id": made["id"], "type": "function", "function": {"name": "weather", "arguments": arguments}}
        for form in (flat, nested):
            messages = [
                *USER,
                {"role": "assistant", "tool_calls": [form]},
                {"role": "tool", "tool_call_id": made["id"], "content": "Rain."},
            ]
            async with opened(door, replace(scene(), scripts={rendered("Rain."): "It rains."})) as server:
                told = await server.client.call("chat", {"messages": messages})
            assert out_of(told)["text"] == "It rains."


def rendered(result: str) -> str:
    """The prompt of a chat in which a tool was called."""
    written = json.dumps({"city": "Köln"}, ensure_ascii=False)
    call = f'<tool_call>\n{{"name": "weather", "arguments": {written}}}\n</tool_call>'
    return f"<user>Weather?</user><assistant>{call}</assistant><tool>{result}</tool><assistant>"


MCP_SHAPE = {
    "name": "weather",
    "title": "Weather",
    "description": "Tells the weather.",
    "inputSchema": PLACE,
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": True},
    "_meta": {"a": 1},
}


@pytest.mark.parametrize(
    "tool", [WEATHER, MCP_SHAPE, {"type": "function", "function": WEATHER}], ids=["flat", "mcp", "openai"]
)
@pytest.mark.parametrize(
    "choice", ["required", {"name": "weather"}, {"type": "function", "function": {"name": "weather"}}], ids=str
)
async def test_tools_and_their_choice_are_taken_in_every_usual_shape(tool: dict[str, Any], choice: Any) -> None:
    async with opened(PLAIN_DOOR, scene(*CALL)) as server:
        call = await server.client.call("chat", {**ASK, "tools": [tool], "tool_choice": choice})
        # Some hosts send what is not a plain value as JSON text.
        text = choice if isinstance(choice, str) else json.dumps(choice)
        again = await server.client.call("chat", {**ASK, "tools": json.dumps([tool]), "tool_choice": text})
    assert called(out_of(call)) == called(out_of(again)) == [WITH_WEATHER]


async def test_the_chosen_tool_is_called_though_the_model_prefers_another() -> None:
    async with opened(PLAIN_DOOR, scene(*CALL)) as server:
        call = await server.client.call("chat", {**ASK, "tool_choice": {"name": "clock"}})
    (made,) = called(out_of(call))
    assert made["name"] == "clock"


async def test_without_parallel_calls_the_answer_ends_after_the_first() -> None:
    async with opened(PLAIN_DOOR, scene(*CALL, *OTHER_CALL)) as server:
        one = await server.client.call("chat", {**ASK, "parallel_tool_calls": False})
        both = await server.client.call("chat", {**ASK, "parallel_tool_calls": True})
    assert called(out_of(one)) == [WITH_WEATHER]
    assert called(out_of(both)) == [WITH_WEATHER, WITH_CLOCK]


async def test_a_call_that_breaks_off_is_told_with_the_arguments_as_text() -> None:
    async with opened(PLAIN_DOOR, scene(*CALL)) as server:
        call = await server.client.call("chat", {**ASK, "max_tokens": len(CALL_HEAD) + 1})
    out = out_of(call)
    assert called(out) == [{"name": "weather", "arguments": '{"city": "Kö'}]
    assert out["finish_reason"] == "length"
    assert out["notes"] == ["The last tool call is incomplete: max_tokens ended it."]


async def test_what_of_a_schema_is_not_kept_is_noted() -> None:
    loose = {"name": "weather", "parameters": {**PLACE, "not": {"required": ["country"]}}}
    async with opened(PLAIN_DOOR, scene(*CALL)) as server:
        call = await server.client.call("chat", {**ASK, "tools": [loose]})
        strict = await server.client.call("chat", {**ASK, "tools": [{**loose, "strict": True}]})
    out = out_of(call)
    assert called(out) == [WITH_WEATHER]
    assert any("'weather'" in note for note in out["notes"]), out
    assert strict.result.is_error
    assert text_of(strict.result).startswith("The schema of tool 'weather' cannot be enforced at")


async def test_reasoning_can_be_limited() -> None:
    thinking = ("<think>", *("hm ",) * 30, "</think>", "Yes.")
    async with opened(PLAIN_DOOR, scene(*thinking)) as server:
        call = await server.client.call("chat", {"messages": USER, "reasoning_budget": 5, "max_tokens": 60})
    out = out_of(call)
    assert out["usage"]["reasoning_tokens"] < 10 + len("\n</think>\n\n")
    assert out["reasoning"].startswith("hm hm ")
    assert joined(deltas_of(call))["reasoning_content"] == out["reasoning"]
    assert out["text"] == call.messages
