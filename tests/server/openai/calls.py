"""Tools for a chat of `/v1`, and what its clients make of the calls that they hear."""

from collections.abc import Sequence
from typing import Any

from tests.server.chats import CALL, CITY, OTHER_CALL, TEMPLATE, THOUGHT, TOOLS, joined
from tests.server.plain.streams import Stream
from tests.server.plain.ways import Json
from tests.server.scene import Scene

OFFERED: list[Json] = [{"type": "function", "function": tool} for tool in TOOLS]
WEATHER_CALL: Json = {"name": "weather", "arguments": CITY}
CLOCK_CALL: Json = {"name": "clock", "arguments": '{"city": "Bonn"}'}
BOTH = (*CALL, *OTHER_CALL)
ALL_KINDS = (*THOUGHT, "Let me ", "see.\n", *BOTH)
"""Reasoning, text and two calls."""


def calling(*pieces: str) -> Scene:
    """A model that writes just these tokens, of which every one is heard by itself."""
    return Scene(scripts={None: pieces}, chat_template=TEMPLATE, n_batch=1024, one_by_one=True)


def deltas_of(stream: Stream, index: int = 0) -> list[Json]:
    """What is new in each event of a choice that was read to its end, between its first and its last one."""
    opening, *deltas, last = [
        choice["delta"] for event in stream.events for choice in event["choices"] if choice["index"] == index
    ]
    assert opening == {"role": "assistant", "content": None}
    assert last == {}
    return deltas


def finishes(stream: Stream) -> list[Json]:
    """The last event of each choice, in the order of the choices."""
    choices = [choice for event in stream.events for choice in event["choices"] if choice["finish_reason"]]
    return sorted(choices, key=lambda choice: choice["index"])


def heard(stream: Stream, index: int = 0) -> Json:
    """The message that a choice's deltas make, without the ids of its calls."""
    return joined(deltas_of(stream, index))


def told(message: Json) -> Json:
    """The same of a whole message."""
    assert message["role"] == "assistant"
    assert message["refusal"] is None
    return {
        "content": message["content"] or "",
        "reasoning_content": message.get("reasoning_content", ""),
        "tool_calls": [_without_id(call) for call in message.get("tool_calls", [])],
    }


def ids(calls: Sequence[Any]) -> list[str]:
    """The ids of calls, of which each must have its own."""
    found = [call["id"] for call in calls if call.get("id")]
    assert len(set(found)) == len(found)
    return found


def _without_id(call: Json) -> Json:
    assert set(call) == {"id", "type", "function"}
    assert call["type"] == "function"
    return call["function"]
