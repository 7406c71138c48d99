"""What the tools are said to be, and that they take and give what they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from mcp_llama.engine.llama import LlamaModel, ModelOptions
from mcp_llama.server.results import TIMINGS_KEY
from mcp_llama.server.settings import ServerLimits
from tests.server.client import Era, text_of
from tests.server.raw import last_message, raw_http, request
from tests.server.scene import SPEECH, Scene, split_bytes
from tests.server.serving import PLAIN_DOOR, Door, every_door, every_era, opened, staged

TOOLS_TOKENS = 1_500
LOOKS_LIKE_JSON = ['{"a":1}', "null", "[1]", "true", "5", '"quoted"', "{broken", " [ ] ", "NaN"]


async def wire_tools(era: Era) -> list[dict[str, Any]]:
    """The tools as an agent's host reads them."""
    async with staged(Scene()) as (_, url), raw_http(url, era) as client:
        message = await last_message(await client.post(request(era, 1, "tools/list", {})))
    return message["result"]["tools"]


async def test_a_client_may_keep_the_list_of_tools_for_an_hour() -> None:
    async with opened(PLAIN_DOOR, Scene()) as server:
        tools = await server.client.client.list_tools()
    assert (tools.ttl_ms, tools.cache_scope) == (3_600_000, "public")


@every_era
async def test_the_list_of_tools_is_small(era: Era, real_model_path: Path) -> None:
    tools = json.dumps(await wire_tools(era), ensure_ascii=False, separators=(",", ":"))
    model = LlamaModel(real_model_path, ModelOptions(n_ctx=512, n_slots=1, n_threads=1))
    try:
        assert len(model.tokenize(tools, add_special=False, parse_special=False)) < TOOLS_TOKENS
    finally:
        model.close()


@every_era
async def test_every_tool_says_what_it_takes_gives_and_does(era: Era) -> None:
    tools = {tool["name"]: tool for tool in await wire_tools(era)}
    assert list(tools) == ["generate", "chat", "embed", "models", "count_tokens"]
    for tool in tools.values():
        assert tool["description"]
        assert tool["inputSchema"]["type"] == "object"
        assert tool["inputSchema"]["additionalProperties"] is False
        assert tool["outputSchema"]["type"] == "object"
        assert tool["outputSchema"]["required"]
        assert tool["annotations"]["readOnlyHint"] is True
        assert tool["annotations"]["openWorldHint"] is False
        assert "$ref" not in json.dumps(tool)
        assert "anyOf" not in json.dumps(tool["inputSchema"]), "hosts differ in what they make of unions"
    assert tools["generate"]["inputSchema"]["required"] == ["prompt"]
    assert tools["chat"]["inputSchema"]["required"] == ["messages"]
    message = tools["chat"]["inputSchema"]["properties"]["messages"]["items"]
    assert message["properties"]["role"]["enum"] == ["system", "user", "assistant", "tool"]
    assert message["required"] == ["role"]


@every_era
@pytest.mark.parametrize("tool", ["generate", "chat"])
async def test_defaults_are_in_the_schema_and_bounds_only_in_refusals(tool: str, era: Era) -> None:
    (found,) = [each for each in await wire_tools(era) if each["name"] == tool]
    properties = found["inputSchema"]["properties"]
    assert properties["max_tokens"] == {"type": "integer", "default": 512}
    assert properties["temperature"] == properties["top_p"] == {"type": "number"}
    assert properties["seed"] == {"type": "integer"}
    assert properties["stop"]["items"] == {"type": "string"}
    assert properties["max_time_s"]["default"] == 55.0
    assert properties["n"]["default"] == 1
    assert not any(word in json.dumps(found) for word in ("maximum", "minimum", "maxItems", "minItems"))


async def test_defaults_are_those_of_the_server() -> None:
    scene = Scene(scripts={None: "x" * 50}, server=ServerLimits(max_tokens=7, max_time_s=3.0))
    async with opened(PLAIN_DOOR, scene) as server:
        (tool, *_) = (await server.client.client.list_tools()).tools
        call = await server.client.call("generate", {"prompt": "x"})
    assert tool.input_schema["properties"]["max_tokens"]["default"] == 7
    assert tool.input_schema["properties"]["max_time_s"]["default"] == 3.0
    assert call.text == "x" * 7


@every_door
async def test_structured_results_fit_their_schemas(door: Door) -> None:
    # The SDK's client checks each result against the schema, once it has the list.
    async with opened(door, Scene(scripts={None: "fine"})) as server:
        client = server.client
        await client.client.list_tools()
        generated = await client.call("generate", {"prompt": "x"})
        chatted = await client.call("chat", {"messages": [{"role": "user", "content": "x"}]})
        counted = await client.call("count_tokens", {"text": "four"})
        counted_chat = await client.call("count_tokens", {"messages": [{"role": "user", "content": "x"}]})
        models = await client.call("models", {})
    assert generated.text == chatted.text == "fine"
    assert counted.result.structured_content == {"tokens": 5, "n_ctx": 1024}
    assert counted.text == "5 tokens; the context holds 1024."
    assert counted_chat.result.structured_content == {"tokens": 1 + len("<user>x\n<assistant>"), "n_ctx": 1024}
    assert models.result.structured_content == {
        "models": [
            {"name": "fake", "state": "ready", "parameters": 1000, "quantisation": "F32", "n_ctx": 1024, "chat": True}
        ]
    }


@every_door
async def test_text_that_looks_like_json_arrives_as_it_is(door: Door) -> None:
    prompts = {text: f"generated {text}" for text in LOOKS_LIKE_JSON}
    chats = {f"<system>{text}\n<user>{text}\n<assistant>{text}": f"chatted {text}" for text in LOOKS_LIKE_JSON}
    async with opened(door, Scene(scripts={**prompts, **chats})) as server:
        for text in LOOKS_LIKE_JSON:
            messages = [{"role": role, "content": text} for role in ("system", "user", "assistant")]
            generated = await server.client.call("generate", {"prompt": text, "max_tokens": 40})
            chatted = await server.client.call("chat", {"messages": messages, "max_tokens": 40})
            counted = await server.client.call("count_tokens", {"text": text})
            stopped = await server.client.call("generate", {"prompt": text, "max_tokens": 40, "stop": [text]})
            assert generated.text == f"generated {text}"
            assert chatted.text == f"chatted {text}"
            assert counted.text.startswith(f"{1 + len(text)} tokens")
            assert stopped.text == "generated "


async def test_a_model_name_that_looks_like_json_is_only_unknown() -> None:
    async with opened(PLAIN_DOOR, Scene()) as server:
        for text in LOOKS_LIKE_JSON:
            call = await server.client.call("generate", {"prompt": "x", "model": text})
            assert text_of(call.result).startswith(f"Unknown model {text!r}.")


@every_era
async def test_the_model_can_be_named(era: Era) -> None:
    async with opened(Door("http", era), Scene(scripts={None: "fine"})) as server:
        call = await server.client.call("generate", {"prompt": "x", "model": "fake"})
        assert call.result.structured_content is not None
        assert call.result.structured_content["model"] == "fake"


async def test_a_stop_string_ends_the_text_before_it_and_is_told() -> None:
    async with opened(PLAIN_DOOR, Scene(scripts={None: split_bytes("one two END three", 1)})) as server:
        call = await server.client.call("generate", {"prompt": "x", "stop": ["never", "END"]})
    assert call.text == call.messages == "one two "
    assert call.result.structured_content is not None
    assert call.result.structured_content["finish_reason"] == "stop"
    assert (call.result.meta or {})[TIMINGS_KEY]["stop"] == "END"


async def test_time_ends_a_call_with_the_text_so_far() -> None:
    async with opened(PLAIN_DOOR, Scene(scripts={None: "x" * 900}, decode_delay=0.005)) as server:
        call = await server.client.call("generate", {"prompt": "x", "max_tokens": 900, "max_time_s": 0.3})
    assert call.text == call.messages
    assert 0 < len(call.text) < 900
    assert call.result.structured_content is not None
    assert call.result.structured_content["finish_reason"] == "time"


async def test_a_trailing_message_of_the_assistant_is_continued() -> None:
    messages = [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "1 2 "}]
    async with opened(PLAIN_DOOR, Scene(scripts={"<user>Count.\n<assistant>1 2 ": "3 4"})) as server:
        call = await server.client.call("chat", {"messages": messages})
    assert call.text == "3 4"


async def test_a_status_line_can_take_the_place_of_the_text() -> None:
    scene = Scene(scripts={None: split_bytes(SPEECH, 3)}, server=ServerLimits(progress_style="status"), n_batch=4)
    async with opened(PLAIN_DOOR, scene) as server:
        call = await server.client.call("generate", {"prompt": "Speak, please", "max_tokens": 200})
    assert call.text == SPEECH
    lines = [one["message"] for one in call.notifications]
    assert all(line and "\n" not in line for line in lines)
    assert lines[-1].endswith("tok/s")
    assert lines[0] == "queue 0/?" or lines[0].startswith("load")


async def test_an_interval_merges_the_messages_and_loses_none() -> None:
    scene = Scene(scripts={None: split_bytes(SPEECH, 3)}, server=ServerLimits(progress_interval_ms=3_600_000))
    async with opened(PLAIN_DOOR, scene) as server:
        call = await server.client.call("generate", {"prompt": "Speak", "max_tokens": 200})
    first, last = call.notifications
    assert "message" not in first
    assert last["message"] == call.text == SPEECH


async def test_a_call_that_names_no_max_tokens_fits_a_small_context() -> None:
    async with opened(PLAIN_DOOR, Scene(scripts={None: "x" * 900}, n_ctx=256)) as server:
        call = await server.client.call("generate", {"prompt": "x"})
    assert set(call.text) == {"x"}
