"""A chat is the same through MCP and through `/v1`: delta by delta, as it is written, and in the end."""

from typing import Any

import pytest

from tests.server.chats import CALL, CALL_HEAD, CITY, OTHER_CALL, TEMPLATE, THOUGHT, TOOLS, USER, Json
from tests.server.parity import through_mcp, through_v1, value_of
from tests.server.scene import Scene
from tests.server.serving import PLAIN_DOOR, connected_http, staged

SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER_CALL = {"name": "weather", "arguments": {"city": "Köln"}}
CLOCK_CALL = {"name": "clock", "arguments": {"city": "Bonn"}}
BROKEN_CALL = {"name": "weather", "arguments": '{"city": "Kö'}
TEXT = ("It ", "is <", "b>wet", "</b>", ", d", "ear <thin", "ker>.")
WITH_TOOLS: Json = {"tools": TOOLS, "max_tokens": 300}


def message(content: str = "", reasoning: str = "", *calls: Json) -> Json:
    return {"content": content, "reasoning_content": reasoning, "tool_calls": list(calls)}


CASES: dict[str, tuple[tuple[str, ...], Json, Json, str]] = {
    "text": (TEXT, {}, message("".join(TEXT)), "stop"),
    "text that a limit cuts off": (TEXT, {"max_tokens": 3}, message("It is <b>wet"), "length"),
    "text before a stop string": (TEXT, {"stop": ["dear"]}, message("It is <b>wet</b>, "), "stop"),
    "required call": (CALL, {**WITH_TOOLS, "tool_choice": "required"}, message("", "", WEATHER_CALL), "tool_calls"),
    "chosen call": (
        CALL,
        {**WITH_TOOLS, "tool_choice": {"type": "function", "function": {"name": "weather"}}},
        message("", "", WEATHER_CALL),
        "tool_calls",
    ),
    "text before a call": (("Look", ":\n", *CALL), WITH_TOOLS, message("Look:\n", "", WEATHER_CALL), "tool_calls"),
    "two calls": ((*CALL, *OTHER_CALL), WITH_TOOLS, message("", "", WEATHER_CALL, CLOCK_CALL), "tool_calls"),
    "no call": (TEXT, WITH_TOOLS, message("".join(TEXT)), "stop"),
    "call that a limit cuts off": (
        CALL,
        {**WITH_TOOLS, "max_tokens": len(CALL_HEAD) + 1},
        message("", "", BROKEN_CALL),
        "length",
    ),
    "reasoning and text": ((*THOUGHT, *TEXT), {}, message("".join(TEXT), "I need a tool."), "stop"),
    "reasoning alone": (THOUGHT, {"max_tokens": 4}, message("", "I need a tool"), "length"),
    "reasoning and call": (
        (*THOUGHT, *CALL),
        WITH_TOOLS,
        message("", "I need a tool.", WEATHER_CALL),
        "tool_calls",
    ),
    "reasoning, text and call": (
        (*THOUGHT, "Look:", *CALL),
        WITH_TOOLS,
        message("Look:", "I need a tool.", WEATHER_CALL),
        "tool_calls",
    ),
    "json": (tuple(CITY), {"json_schema": SCHEMA}, message(CITY), "stop"),
    "json that a limit cuts off": (
        tuple(CITY),
        {"json_schema": SCHEMA, "max_tokens": 12},
        message(CITY[:12]),
        "length",
    ),
    "two answers": (TEXT, {"n": 2}, message("".join(TEXT)), "stop"),
    "two answers with reasoning and calls": (
        (*THOUGHT, *CALL),
        {**WITH_TOOLS, "n": 2},
        message("", "I need a tool.", WEATHER_CALL),
        "tool_calls",
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_chat_is_the_same_through_both_doors(name: str) -> None:
    pieces, options, expected, reason = CASES[name]
    asked: dict[str, Any] = {"messages": USER, "max_tokens": 100, "seed": 1, **options}
    scene = Scene(scripts={None: pieces}, chat_template=TEMPLATE, n_batch=1024, n_ctx=2048, one_by_one=True)
    async with staged(scene) as (_, url), connected_http(url, PLAIN_DOOR) as client:
        tool = await through_mcp(client, asked)
        v1 = await through_v1(url, asked)
    assert tool == v1
    assert tool.finals == [expected] * options.get("n", 1)
    assert tool.reasons == [reason] * options.get("n", 1)
    for joined, final in zip(tool.messages, tool.finals, strict=True):
        assert joined["content"] == final["content"]
        assert joined["reasoning_content"] == final["reasoning_content"]
        calls = [{**call, "arguments": value_of(call["arguments"])} for call in joined["tool_calls"]]
        assert calls == final["tool_calls"]
    assert all(len(deltas) > 1 for deltas in tool.deltas), "each token is an event of its own"
