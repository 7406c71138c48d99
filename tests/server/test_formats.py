"""Texts that must have a form: over every transport they have it, and the result tells what came of it."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from tests.server.chats import USER, Json, deltas_of, joined, out_of
from tests.server.client import ToolCall
from tests.server.scene import Scene
from tests.server.serving import PLAIN_DOOR, Door, every_door, opened

SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}
VALUE = {"city": "Köln", "warm": True}
WRITTEN = json.dumps(VALUE, ensure_ascii=False)
TOOLS: dict[str, Json] = {"generate": {"prompt": "Weather?"}, "chat": {"messages": USER}}
both_tools = pytest.mark.parametrize("tool", TOOLS)

SCHEMES: dict[str, tuple[Json, str]] = {
    "regex": ({"regex": "[0-9]{2}-[a-z]{3}"}, r"[0-9]{2}-[a-z]{3}"),
    "regex that looks like JSON": ({"regex": "[5]"}, "5"),
    "regex that is JSON's null": ({"regex": "null"}, "null"),
    "GBNF": ({"grammar": 'root ::= "x" [0-9] "."'}, r"x[0-9]\."),
    "Lark": ({"grammar": "start: /[ab]/ NUMBER\nNUMBER: /[0-9]{3}/"}, r"[ab][0-9]{3}"),
}


def scene(pieces: str | Sequence[bytes | str]) -> Scene:
    return Scene(scripts={None: pieces})


def told_by(call: ToolCall) -> Json:
    """The structured result of a call, whose text is in its messages too."""
    assert call.text == call.messages
    out = out_of(call)
    assert out["text"] == call.text
    assert joined(deltas_of(call))["content"] == call.text
    return out


@every_door
@both_tools
async def test_json_that_fits_a_schema_comes_as_text_and_as_a_value(door: Door, tool: str) -> None:
    async with opened(door, scene(WRITTEN)) as server:
        call = await server.client.call(tool, {**TOOLS[tool], "json_schema": SCHEMA, "max_tokens": 90})
    out = told_by(call)
    assert out["text"] == WRITTEN
    assert out["parsed"] == VALUE
    assert out["finish_reason"] == "stop"
    assert "notes" not in out


@every_door
async def test_what_the_model_would_rather_say_does_not_come(door: Door) -> None:
    async with opened(door, scene("I would rather not.")) as server:
        call = await server.client.call("chat", {**TOOLS["chat"], "json_schema": {"enum": ["yes", "no"]}})
    assert told_by(call)["parsed"] in ("yes", "no")


@both_tools
async def test_without_a_schema_json_is_only_text(tool: str) -> None:
    async with opened(PLAIN_DOOR, scene(WRITTEN)) as server:
        call = await server.client.call(tool, {**TOOLS[tool], "max_tokens": 90})
    assert "parsed" not in told_by(call)


@both_tools
@pytest.mark.parametrize("name", SCHEMES)
async def test_a_text_follows_its_expression_or_grammar(tool: str, name: str) -> None:
    form, pattern = SCHEMES[name]
    async with opened(PLAIN_DOOR, scene("?" * 40)) as server:
        call = await server.client.call(tool, {**TOOLS[tool], **form, "max_tokens": 30})
    out = told_by(call)
    assert re.fullmatch(pattern, out["text"])
    assert out["finish_reason"] == "stop"
    assert "parsed" not in out


@both_tools
async def test_a_form_that_is_left_empty_is_none(tool: str) -> None:
    empty = {"json_schema": None, "regex": "", "grammar": None, "logprobs": None}
    async with opened(PLAIN_DOOR, scene("as I like")) as server:
        call = await server.client.call(tool, {**TOOLS[tool], **empty})
    assert told_by(call)["text"] == "as I like"


async def test_a_schema_may_come_as_json_text() -> None:
    async with opened(PLAIN_DOOR, scene(WRITTEN)) as server:
        call = await server.client.call("generate", {"prompt": "x", "json_schema": json.dumps(SCHEMA)})
    assert told_by(call)["parsed"] == VALUE


@every_door
@both_tools
async def test_json_that_is_cut_off_is_noted_and_has_no_value(door: Door, tool: str) -> None:
    async with opened(door, scene(WRITTEN)) as server:
        call = await server.client.call(tool, {**TOOLS[tool], "json_schema": SCHEMA, "max_tokens": 12})
    out = told_by(call)
    assert WRITTEN.startswith(out["text"])
    assert out["finish_reason"] == "length"
    assert "parsed" not in out
    assert len(out["notes"]) == 1
    assert "max_tokens" in out["notes"][0]


@both_tools
async def test_a_stop_string_that_cuts_json_off_is_named(tool: str) -> None:
    async with opened(PLAIN_DOOR, scene(WRITTEN)) as server:
        call = await server.client.call(tool, {**TOOLS[tool], "json_schema": SCHEMA, "stop": ["warm"]})
    (note,) = told_by(call)["notes"]
    assert "'warm'" in note


@every_door
@both_tools
@pytest.mark.parametrize("alternatives", [0, 2])
async def test_log_probabilities_are_short_lists(door: Door, tool: str, alternatives: int) -> None:
    async with opened(door, scene(["He", "llo", b"\xc3", b"\xbc"])) as server:
        call = await server.client.call(tool, {**TOOLS[tool], "logprobs": alternatives})
        plain = await server.client.call(tool, TOOLS[tool])
    out = told_by(call)
    tokens: list[Any] = out["logprobs"]
    assert [entry[:2] for entry in tokens] == [[token, -0.6931] for token in ("He", "llo", "\ufffd", "\ufffd")]
    for entry in tokens:
        assert len(entry) == (3 if alternatives else 2)
        if alternatives:
            assert [logprob for _, logprob in entry[2]] == [-0.6931, -1.3863]
            assert entry[2][0][0] == entry[0]
    assert "logprobs" not in told_by(plain)


@both_tools
async def test_log_probabilities_go_with_a_schema(tool: str) -> None:
    async with opened(PLAIN_DOOR, scene(WRITTEN)) as server:
        call = await server.client.call(tool, {**TOOLS[tool], "json_schema": SCHEMA, "logprobs": 1})
    out = told_by(call)
    assert out["parsed"] == VALUE
    assert len(out["logprobs"]) == out["usage"]["completion_tokens"] == len(WRITTEN.encode())
