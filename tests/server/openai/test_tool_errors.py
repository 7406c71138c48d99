"""Tools and formats that cannot be served, and clients that leave in the middle of a call."""

from typing import Any

import openai
import pytest

from tests.server.chats import CALL_HEAD, TEMPLATE
from tests.server.openai.calls import OFFERED
from tests.server.openai.clients import Kind, Play, ask, asked, body_of, create, played
from tests.server.plain.ways import Json
from tests.server.scene import Scene

SCENE = Scene(scripts={None: "fine"})
IMPOSSIBLE: Json = {"type": "object", "properties": {"a/b": {"not": {"type": "object"}}}}
WRONG: Json = {"type": "object", "properties": {"a": {"items": [{}, {"type": "text"}]}}}
AT_WRONG = ("/properties/a/items/1", "type")
streamed_or_not = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def tool(name: str, **function: Any) -> Json:
    return {"type": "function", "function": {"name": name, **function}}


def json_schema(schema: Any) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


REFUSED: dict[str, tuple[Kind, Json, str, tuple[str, ...]]] = {
    "response_format": (
        "chat",
        {"response_format": json_schema(IMPOSSIBLE)},
        "response_format",
        ("The JSON schema", "'/properties/a~1b'", "'not'"),
    ),
    "response_format of a completion": (
        "completions",
        {"response_format": json_schema({"type": "text"})},
        "response_format",
        ("The JSON schema", "at its root", "'type'"),
    ),
    "schema of json_object": (
        "chat",
        {"response_format": {"type": "json_object", "schema": {"minimum": "x"}}},
        "response_format",
        ("The JSON schema", "'minimum'"),
    ),
    "json_schema": ("completions", {"json_schema": IMPOSSIBLE}, "json_schema", ("'/properties/a~1b'", "'not'")),
    "regex": ("chat", {"regex": "a("}, "regex", ("The regular expression", "unclosed group")),
    "GBNF": ("completions", {"grammar": "root ::= ("}, "grammar", ("The grammar", "GBNF")),
    "Lark": ("chat", {"grammar": "start: nothing"}, "grammar", ("The grammar", "nothing")),
    "two formats": (
        "chat",
        {"response_format": {"type": "json_object"}, "regex": "a"},
        "regex",
        ("response_format and regex cannot go together",),
    ),
    "second tool": (
        "chat",
        {"tools": [tool("f"), tool("g", parameters=WRONG)]},
        "tools.1.function.parameters",
        ("The schema of tool 'g'", *map(repr, AT_WRONG)),
    ),
    "strict tool": (
        "chat",
        {"tools": [tool("f", strict=True, parameters=IMPOSSIBLE)]},
        "tools.0.function.parameters",
        ("The schema of tool 'f'", "'/properties/a~1b'", "'not'"),
    ),
    "tool beside a format": (
        "chat",
        {"tools": [tool("f", parameters=WRONG)], "response_format": {"type": "json_object"}},
        "tools.0.function.parameters",
        ("The schema of tool 'f'",),
    ),
    "format beside a tool": (
        "chat",
        {"tools": [tool("f")], "response_format": json_schema(WRONG)},
        "response_format",
        ("The JSON schema", *map(repr, AT_WRONG)),
    ),
    "tool that is not offered": (
        "chat",
        {"tools": [tool("weather")], "tool_choice": tool("wether")},
        "tool_choice",
        ("'wether'", "Did you mean 'weather'?"),
    ),
    "tools of one name": ("chat", {"tools": [tool("f"), tool("f")]}, "tools", ("Two tools are called 'f'",)),
    "name of a tool": ("chat", {"tools": [tool("a b")]}, "tools", ("'a b' is not allowed",)),
    "too many tools": (
        "chat",
        {"tools": [tool(f"f{number}") for number in range(129)]},
        "tools",
        ("There are 129 tools, but at most 128",),
    ),
    "choice without tools": ("chat", {"tool_choice": "required", "tools": []}, "tool_choice", ("there are no tools",)),
    "effort": ("chat", {"reasoning_effort": "low"}, "reasoning_effort", ("knows no reasoning_effort 'low'",)),
    "calls without results": (
        "chat",
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "1", **tool("f")}]}]},
        "messages",
        ("answer them with tool messages",),
    ),
    "choice that is none": ("chat", {"tools": OFFERED, "tool_choice": "any"}, "tool_choice", ("'any'", "'required'")),
    "type of a format": ("chat", {"response_format": json_schema(7)}, "response_format.json_schema.schema", ("is 7",)),
}


@streamed_or_not
@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_enforced_is_refused_by_its_field_before_anything_is_computed(
    play: Play, name: str, stream: bool
) -> None:
    kind, options, param, words = REFUSED[name]
    before = await play.stage.decodes()
    with pytest.raises(openai.BadRequestError) as refused:
        await create(play.client, kind)(**asked(kind), stream=stream, extra_body=options)
    error = body_of(refused.value)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, None)
    assert all(word in error["message"] for word in words), error["message"]
    assert await play.stage.decodes() == before


@pytest.mark.parametrize("name", ["response_format", "regex", "strict tool"])
async def test_a_request_that_was_refused_leaves_nothing_behind(name: str) -> None:
    kind, options, _, _ = REFUSED[name]
    async with played(Scene(scripts={None: "fine"}, n_slots=1)) as play:
        for _ in range(3):
            with pytest.raises(openai.BadRequestError):
                await create(play.client, kind)(**asked(kind), extra_body=options)
        assert (await ask(play.client, "chat", tools=OFFERED)).text == "fine"
        assert await play.stage.running() == 0


@pytest.mark.parametrize("options", [{"tool_choice": "required"}, {"tool_choice": "auto"}, {"n": 2}], ids=str)
async def test_leaving_in_the_middle_of_a_call_frees_its_slot(options: Json) -> None:
    endless = (*CALL_HEAD, *"K" * 400)
    choices = options.get("n", 1)
    scene = Scene(scripts={None: endless}, chat_template=TEMPLATE, n_batch=1024, decode_delay=0.005)
    async with played(scene) as play:
        stream = await create(play.client, "chat")(**asked("chat"), tools=OFFERED, stream=True, **options)
        async for chunk in stream:
            calls = chunk.choices[0].delta.tool_calls
            if calls and "K" in calls[0].function.arguments:
                break
        await stream.close()
        ends = await play.stage.ended(choices)
        assert [end.reason for end in ends] == ["abort"] * choices
        assert all(end.completion_tokens < len(endless) for end in ends)
        assert (await ask(play.client, "completions", "x", n=2, max_tokens=2)).reasons == ["length"] * 2
        assert await play.stage.open_constraints() == 0
