"""Answers that a limit cuts off are carried on by calling again with the text so far, also in the middle of JSON."""

import json
from typing import Any

import pytest

from tests.server.chats import TEMPLATE, USER, Json, out_of
from tests.server.client import Connection, ToolCall
from tests.server.scene import Scene
from tests.server.serving import PLAIN_DOOR, Door, every_door, opened

STORY = "Once upon a time there was a model that was cut off."
VALUE = {"story": 'It said "stop" and\nstopped.', "moral": None}
WRITTEN = json.dumps(VALUE)
SCHEMA: Json = {
    "type": "object",
    "properties": {"story": {"type": "string"}, "moral": {"type": "null"}},
    "required": ["story", "moral"],
    "additionalProperties": False,
}
PROMPT = "<user>Weather?</user><assistant>"


def scene(text: str, **more: Any) -> Scene:
    """A model that writes the text, from wherever it is."""
    return Scene(scripts={PROMPT + text[:end]: text[end:] for end in range(len(text))}, chat_template=TEMPLATE, **more)


async def carried_on(client: Connection, **arguments: Any) -> list[ToolCall]:
    """The calls that it takes to come to the end."""
    calls: list[ToolCall] = []
    text = ""
    while not calls or out_of(calls[-1])["finish_reason"] in ("length", "time"):
        messages = [*USER, {"role": "assistant", "content": text}] if text else USER
        calls.append(await client.call("chat", {"messages": messages, **arguments}))
        assert calls[-1].text == calls[-1].messages
        text += calls[-1].text
        assert len(calls) < 40, "it goes on for ever"
    return calls


@every_door
@pytest.mark.parametrize("size", [1, 7, 20])
async def test_json_is_carried_on_wherever_it_was_cut_off(door: Door, size: int) -> None:
    limit = size if size > 1 else 3
    async with opened(door, scene(WRITTEN)) as server:
        calls = await carried_on(server.client, json_schema=SCHEMA, max_tokens=limit)
    assert len(calls) > 2
    assert "".join(call.text for call in calls) == WRITTEN
    *unfinished, last = [out_of(call) for call in calls]
    assert last["parsed"] == VALUE
    assert all("parsed" not in out and out["notes"] for out in unfinished)


@every_door
async def test_text_that_time_cut_off_is_carried_on(door: Door) -> None:
    async with opened(door, scene(STORY, decode_delay=0.02)) as server:
        calls = await carried_on(server.client, max_time_s=0.4)
    assert out_of(calls[0])["finish_reason"] == "time"
    assert "".join(call.text for call in calls) == STORY


async def test_json_that_time_cut_off_is_noted_and_carried_on() -> None:
    async with opened(PLAIN_DOOR, scene(WRITTEN, decode_delay=0.02)) as server:
        calls = await carried_on(server.client, json_schema=SCHEMA, max_time_s=0.4)
    assert out_of(calls[0])["finish_reason"] == "time"
    first, last = out_of(calls[0]), out_of(calls[-1])
    assert len(first["notes"]) == 1
    assert "max_time_s" in first["notes"][0]
    assert json.loads("".join(call.text for call in calls)) == last["parsed"] == VALUE


@every_door
async def test_reasoning_that_was_cut_off_is_carried_on(door: Door) -> None:
    scripts: dict[str | None, str] = {PROMPT: "<think>I think so.", f"{PROMPT}<think>\nI think": " so.</think>\n\nYes."}
    async with opened(door, Scene(scripts=scripts, chat_template=TEMPLATE)) as server:
        first = await server.client.call("chat", {"messages": USER, "max_tokens": len("<think>I think")})
        out = out_of(first)
        assert (out["reasoning"], out["text"], out["finish_reason"]) == ("I think", "", "length")
        assert len(out["notes"]) == 1
        messages = [*USER, {"role": "assistant", "content": "", "reasoning_content": out["reasoning"]}]
        second = await server.client.call("chat", {"messages": messages})
    out = out_of(second)
    assert (out["reasoning"], out["text"], out["finish_reason"]) == (" so.", "Yes.", "stop")
