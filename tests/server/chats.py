"""Chats with tools and reasoning: what a model writes there, and what a client hears of it."""

from collections.abc import Iterable
from typing import Any

from mcp_llama.server.progress import CHOICES_KEY, DELTA_KEY
from tests.server.client import ToolCall

Json = dict[str, Any]

TEMPLATE = (
    "{% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}"
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}"
    "{% for call in message.tool_calls or [] %}"
    '<tool_call>\n{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n'
    "</tool_call>{% endfor %}</{{ message.role }}>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}{# <think></think> #}"
)
"""Shows tools, calls and results, and knows reasoning."""

USER: list[Json] = [{"role": "user", "content": "Weather?"}]
PLACE: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Json = {"name": "weather", "description": "Tells the weather.", "parameters": PLACE}
CLOCK: Json = {"name": "clock", "description": "Tells the time.", "parameters": PLACE}
TOOLS = [WEATHER, CLOCK]

THOUGHT = ("<thi", "nk>", "I need", " a tool", ".</th", "ink>\n\n")
"""The tokens of reasoning, with its marks cut through."""
CALL_HEAD = '<tool_call>\n{"name": "weather", "arguments": {"city": "'
CALL = (*CALL_HEAD, "Kö", "ln", *'"}}\n</tool_call>')
"""A token a byte, as what a grammar forces is, but for the free text in it."""
OTHER_CALL = (*'\n<tool_call>\n{"name": "clock", "arguments": {"city": "', "Bonn", *'"}}\n</tool_call>')
CITY = '{"city": "Köln"}'


def out_of(call: ToolCall) -> Json:
    """The structured result of a call, which must be no error."""
    assert not call.result.is_error, call.result.content
    assert call.result.structured_content is not None
    return call.result.structured_content


def deltas_of(call: ToolCall, choice: int = 0) -> list[Json]:
    """The typed deltas of a call's choice, in order."""
    if choice:
        found = [one["_meta"].get(CHOICES_KEY, {}).get(str(choice)) for one in call.notifications]
    else:
        found = [one["_meta"].get(DELTA_KEY) for one in call.notifications]
    return [delta for delta in found if delta is not None]


def joined(deltas: Iterable[Json]) -> Json:
    """What a client makes of deltas: a message as `/v1` has it, without the ids of calls."""
    message: Json = {"content": "", "reasoning_content": "", "tool_calls": []}
    for delta in deltas:
        assert delta, "a delta has something new"
        message["content"] += delta.get("content", "")
        message["reasoning_content"] += delta.get("reasoning_content", "")
        for piece in delta.get("tool_calls", []):
            _join_call(message["tool_calls"], piece)
    return message


def without_ids(deltas: Iterable[Json]) -> list[Json]:
    """The deltas without the ids of calls, which are random."""
    return [
        {**delta, "tool_calls": [{**piece, "id": "id" in piece} for piece in delta["tool_calls"]]}
        if "tool_calls" in delta
        else delta
        for delta in deltas
    ]


def _join_call(calls: list[Json], piece: Json) -> None:
    function = piece["function"]
    if piece["index"] == len(calls):
        assert piece["id"]
        assert piece["type"] == "function"
        assert function["arguments"] == "", "a call begins with its name alone"
        calls.append({"name": function["name"], "arguments": ""})
    else:
        assert set(piece) == {"index", "function"}
        assert set(function) == {"arguments"}
        calls[piece["index"]]["arguments"] += function["arguments"]
