"""One chat through two doors: MCP's tool `chat` and a stream of `/v1/chat/completions`, in one shape for both."""

import json
from dataclasses import dataclass
from typing import Any

from tests.server.chats import Json, deltas_of, joined, out_of, without_ids
from tests.server.client import Connection
from tests.server.raw import plain_http


@dataclass(frozen=True)
class Heard:
    """What a client makes of an answer; a list has an item for each choice, and no ids of calls."""

    deltas: list[list[Json]]
    """The typed deltas as they came, but each piece of a call in one of its own, as `/v1` has them."""
    messages: list[Json]
    """The deltas joined."""
    finals: list[Json]
    """What the server says in the end: the structured result, or the body without a stream."""
    reasons: list[str]
    notes: list[list[str]]


async def through_mcp(client: Connection, arguments: Json) -> Heard:
    """Ask through the tool."""
    call = await client.call("chat", arguments)
    out = out_of(call)
    choices: list[Json] = out.get("choices", [out])
    deltas = [deltas_of(call, number) for number in range(len(choices))]
    assert call.messages == choices[0]["text"]
    return Heard(
        deltas=[_by_calls(without_ids(each)) for each in deltas],
        messages=[joined(each) for each in deltas],
        finals=[_of_tool(choice) for choice in choices],
        reasons=[choice["finish_reason"] for choice in choices],
        notes=[choice.get("notes", []) for choice in choices],
    )


async def through_v1(url: str, body: Json) -> Heard:
    """Ask for a stream, and then for the same as a whole."""
    choices = range(body.get("n", 1))
    deltas: list[list[Json]] = [[] for _ in choices]
    ends: dict[int, Json] = {}
    async with plain_http() as http:
        async with http.stream("POST", f"{url}/v1/chat/completions", json={**body, "stream": True}) as response:
            assert response.status_code == 200, await response.aread()
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    for choice in json.loads(line.removeprefix("data: "))["choices"]:
                        _take(choice, deltas, ends)
        whole = (await http.post(f"{url}/v1/chat/completions", json=body)).json()
    finals = [_of_message(choice["message"]) for choice in whole["choices"]]
    assert [choice["finish_reason"] for choice in whole["choices"]] == [ends[n]["finish_reason"] for n in choices]
    return Heard(
        deltas=[without_ids(each) for each in deltas],
        messages=[joined(each) for each in deltas],
        finals=finals,
        reasons=[ends[n]["finish_reason"] for n in choices],
        notes=[ends[n].get("notes", []) for n in choices],
    )


def _by_calls(deltas: list[Json]) -> list[Json]:
    parts: list[Json] = []
    for delta in deltas:
        first, *rest = delta.get("tool_calls") or [None]
        parts.append(delta if first is None else {**delta, "tool_calls": [first]})
        parts += [{"tool_calls": [piece]} for piece in rest]
    return parts


def _take(choice: Json, deltas: list[list[Json]], ends: dict[int, Json]) -> None:
    number: int = choice["index"]
    assert number not in ends, "a choice goes on after its end"
    if choice["finish_reason"]:
        ends[number] = choice
    delta: Json = choice["delta"]
    if delta and "role" not in delta:
        deltas[number].append(delta)


def _of_tool(choice: Json) -> Json:
    calls = [{"name": call["name"], "arguments": call["arguments"]} for call in choice.get("tool_calls", [])]
    return {"content": choice["text"], "reasoning_content": choice.get("reasoning", ""), "tool_calls": calls}


def _of_message(message: Json) -> Json:
    calls = [
        {"name": call["function"]["name"], "arguments": value_of(call["function"]["arguments"])}
        for call in message.get("tool_calls", [])
    ]
    content = message["content"] or ""
    return {"content": content, "reasoning_content": message.get("reasoning_content", ""), "tool_calls": calls}


def value_of(arguments: str) -> Any:
    """The value of a call's arguments; where the call breaks off, the text that there is."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
