"""Tool calls and reasoning on the wire: a stream event by event, and the same answer whole."""

from dataclasses import replace
from typing import Any

import pytest

from tests.server.chats import CALL, THOUGHT, without_ids
from tests.server.openai.calls import (
    ALL_KINDS,
    BOTH,
    CLOCK_CALL,
    OFFERED,
    WEATHER_CALL,
    calling,
    deltas_of,
    finishes,
    heard,
    ids,
    told,
)
from tests.server.plain.streams import Asker, Stream, asker
from tests.server.plain.ways import CHAT, Json
from tests.server.scene import Scene
from tests.server.serving import staged

TOOLS: Json = {"tools": OFFERED, "max_tokens": 300}
USAGE: Json = {"stream_options": {"include_usage": True}}


async def stream_of(scene: Scene, **options: Any) -> Stream:
    async with staged(scene) as (_, url), asker(url) as client:
        return await client.read(CHAT, "x", **TOOLS, **options)


async def both(client: Asker, **options: Any) -> tuple[Stream, Json]:
    """An answer streamed with its usage, and whole."""
    stream = await client.read(CHAT, "x", **TOOLS, **options, **USAGE)
    response = await client.whole(CHAT, "x", **TOOLS, **options)
    assert response.status_code == 200, response.text
    return stream, response.json()


async def test_a_call_opens_with_id_type_and_name_and_goes_on_with_pieces_of_its_arguments() -> None:
    stream = await stream_of(calling(*CALL))
    deltas = deltas_of(stream)
    named, *pieces = without_ids(deltas)
    function = {"name": "weather", "arguments": ""}
    assert named == {"tool_calls": [{"index": 0, "id": True, "type": "function", "function": function}]}
    assert pieces == [
        {"tool_calls": [{"index": 0, "id": False, "function": {"arguments": piece}}]}
        for piece in ('{"city": "', "Kö", "ln", '"', "}")
    ]
    assert finishes(stream) == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "tool_calls"}]
    assert stream.kinds[-1] == "done"


async def test_a_second_call_has_its_own_index_and_id() -> None:
    deltas = deltas_of(await stream_of(calling(*BOTH)))
    pieces = [piece for delta in deltas for piece in delta["tool_calls"]]
    indices = [piece["index"] for piece in pieces]
    assert indices == sorted(indices)
    assert set(indices) == {0, 1}
    assert [piece["function"].get("name") for piece in pieces if "id" in piece] == ["weather", "clock"]
    assert len(ids(pieces)) == 2


@pytest.mark.parametrize(
    "pieces", [CALL, BOTH, ALL_KINDS, (*THOUGHT, "fine"), (*THOUGHT, *CALL), "fine"], ids=lambda one: "".join(one)[:30]
)
async def test_a_stream_joined_is_the_whole_answer(pieces: tuple[str, ...]) -> None:
    async with staged(calling(*pieces)) as (_, url), asker(url) as client:
        stream, whole = await both(client)
    (choice,) = whole["choices"]
    assert heard(stream) == told(choice["message"])
    (last,) = finishes(stream)
    assert last["finish_reason"] == choice["finish_reason"]
    assert "notes" not in last
    assert "notes" not in choice
    for count in ("prompt_tokens", "completion_tokens", "total_tokens", "completion_tokens_details"):
        assert stream.events[-1]["usage"][count] == whole["usage"][count]


async def test_reasoning_text_and_calls_come_in_their_own_fields_and_in_order() -> None:
    async with staged(calling(*ALL_KINDS)) as (_, url), asker(url) as client:
        stream, whole = await both(client)
    kinds = [key for delta in deltas_of(stream) for key in delta]
    assert list(dict.fromkeys(kinds)) == ["reasoning_content", "content", "tool_calls"]
    assert kinds == sorted(kinds, key=["reasoning_content", "content", "tool_calls"].index)
    assert heard(stream) == {
        "reasoning_content": "I need a tool.",
        "content": "Let me see.\n",
        "tool_calls": [WEATHER_CALL, CLOCK_CALL],
    }
    assert whole["choices"][0]["message"]["content"] == "Let me see.\n"
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] == len(THOUGHT)
    assert whole["usage"]["completion_tokens"] == len(ALL_KINDS)


async def test_a_message_that_only_calls_has_no_content() -> None:
    async with staged(calling(*CALL)) as (_, url), asker(url) as client:
        _, whole = await both(client)
    (choice,) = whole["choices"]
    assert choice["message"]["content"] is None
    assert told(choice["message"])["tool_calls"] == [WEATHER_CALL]
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(("form", "split"), [(None, True), ("auto", True), ("deepseek", True), ("none", False)])
async def test_reasoning_is_taken_out_of_the_text_unless_it_is_to_stay_there(form: str | None, split: bool) -> None:
    async with staged(calling(*THOUGHT, "fine")) as (_, url), asker(url) as client:
        stream, whole = await both(client, reasoning_format=form)
    expected = ("I need a tool.", "fine") if split else ("", "<think>I need a tool.</think>\n\nfine")
    message = told(whole["choices"][0]["message"])
    assert (message["reasoning_content"], message["content"]) == expected
    assert heard(stream) == message


@pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "whole"])
async def test_each_of_several_choices_has_its_own_calls(streaming: bool) -> None:
    async with staged(replace(calling(*BOTH), n_slots=2)) as (_, url), asker(url) as client:
        if streaming:
            stream = await client.read(CHAT, "x", **TOOLS, n=2)
            messages = [heard(stream, index) for index in range(2)]
            calls = [call for index in range(2) for delta in deltas_of(stream, index) for call in delta["tool_calls"]]
            reasons = [choice["finish_reason"] for choice in finishes(stream)]
        else:
            choices = (await client.whole(CHAT, "x", **TOOLS, n=2)).json()["choices"]
            messages = [told(choice["message"]) for choice in choices]
            calls = [call for choice in choices for call in choice["message"]["tool_calls"]]
            reasons = [choice["finish_reason"] for choice in choices]
    assert [message["tool_calls"] for message in messages] == [[WEATHER_CALL, CLOCK_CALL]] * 2
    assert reasons == ["tool_calls"] * 2
    assert len(ids(calls)) == 4


async def test_log_probabilities_are_those_of_all_tokens_that_were_written() -> None:
    async with staged(calling(*ALL_KINDS)) as (_, url), asker(url) as client:
        stream, whole = await both(client, logprobs=True, top_logprobs=1)
    told_of = [choice["logprobs"] for event in stream.events for choice in event["choices"] if choice["logprobs"]]
    entries = [entry for logprobs in told_of for entry in logprobs["content"]]
    assert entries == whole["choices"][0]["logprobs"]["content"]
    assert [bytes(entry["bytes"]) for entry in entries] == [piece.encode() for piece in ALL_KINDS]


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ({"parallel_tool_calls": False}, [WEATHER_CALL]),
        ({"tool_choice": "required"}, [WEATHER_CALL, CLOCK_CALL]),
        ({"tool_choice": "auto", "parallel_tool_calls": True}, [WEATHER_CALL, CLOCK_CALL]),
        ({"tool_choice": "none"}, []),
    ],
)
async def test_the_choice_of_a_tool_is_kept(options: Json, calls: list[Json]) -> None:
    async with staged(calling(*BOTH)) as (_, url), asker(url) as client:
        stream, whole = await both(client, **options)
    message = told(whole["choices"][0]["message"])
    assert message["tool_calls"] == heard(stream)["tool_calls"] == calls
    assert message["content"] == ("" if calls else "".join(BOTH))


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "clock"}}], ids=str)
async def test_a_call_that_is_required_comes_whatever_the_model_would_say(choice: Any) -> None:
    async with staged(calling("f", "ine")) as (_, url), asker(url) as client:
        stream, whole = await both(client, tool_choice=choice, reasoning_effort="none")
    message = told(whole["choices"][0]["message"])
    assert heard(stream) == message
    assert message["content"] == ""
    names = {call["name"] for call in message["tool_calls"]}
    assert names if choice == "required" else names == {"clock"}


@pytest.mark.parametrize("pieces", [("".join(BOTH),), ("Let me see.\n" + "".join(BOTH),)], ids=["calls", "text too"])
async def test_a_chunk_has_no_more_than_one_piece_of_a_call(pieces: tuple[str, ...]) -> None:
    stream = await stream_of(calling(*pieces), logprobs=True)
    first, *rest = [delta["tool_calls"] for delta in deltas_of(stream)]
    assert [len(pieces) for pieces in (first, *rest)] == [1, 1, 1, 1]
    assert [choice["logprobs"] is None for event in stream.events for choice in event["choices"]].count(False) == 1
    assert heard(stream)["tool_calls"] == [WEATHER_CALL, CLOCK_CALL]
    assert heard(stream)["content"] == stream.text == pieces[0].removesuffix("".join(BOTH))


async def test_notes_come_with_the_end() -> None:
    vague = {"type": "object", "properties": {"city": {"type": "string", "not": {"const": "Rome"}}}}
    tools = [{"type": "function", "function": {"name": "weather", "parameters": vague}}]
    async with staged(calling(*CALL)) as (_, url), asker(url) as client:
        stream = await client.read(CHAT, "x", tools=tools)
        whole = (await client.whole(CHAT, "x", tools=tools)).json()
        cut = await client.read(CHAT, "x", tools=tools, max_tokens=len(CALL) - 20)
    (note,) = whole["choices"][0]["notes"]
    assert "weather" in note
    assert "/properties/city" in note
    assert finishes(stream)[0]["notes"] == [note]
    assert not any("notes" in choice for event in stream.events[:-1] for choice in event["choices"])
    (last,) = finishes(cut)
    assert (last["finish_reason"], last["notes"][0]) == ("length", note)
    assert "max_tokens" in last["notes"][1]


async def test_notes_tell_that_json_is_incomplete() -> None:
    form = {"response_format": {"type": "json_object"}}
    async with staged(calling(*'{"a": 1}')) as (_, url), asker(url) as client:
        stream = await client.read(CHAT, "x", **form, max_tokens=4)
        whole = (await client.whole(CHAT, "x", **form)).json()
    (last,) = finishes(stream)
    assert (stream.text, last["finish_reason"]) == ('{"a"', "length")
    assert last["notes"] == ["The JSON is incomplete: max_tokens ended it."]
    assert whole["choices"][0]["message"]["content"] == '{"a": 1}'
    assert "notes" not in whole["choices"][0]
