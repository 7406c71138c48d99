"""Calls that cannot be served: each gets one clear line, and the server goes on."""

import logging
import math
import re
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from mcp import MCPError
from mcp_types import INVALID_PARAMS

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.model import DecodeError, Rows
from tests.server.bad_calls import BAD_CALLS, LONG_INPUTS, USER
from tests.server.client import Connection, Era, task_group, text_of
from tests.server.raw import last_message, raw_http, tool_call
from tests.server.scene import Scene
from tests.server.serving import ERAS, PLAIN_DOOR, Door, connected_http, opened, staged

PICKY_TEMPLATE = (
    "{% for message in messages %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate user and assistant.') }}{% endif %}{{ message.content }}{% endfor %}"
)


@pytest.fixture(scope="module", params=ERAS)
async def client(request: pytest.FixtureRequest) -> AsyncGenerator[Connection]:
    era: Era = request.param
    async with opened(Door("http", era), Scene(scripts={None: "fine"})) as server:
        yield server.client


def check_error(text: str) -> None:
    """An error that an agent can read: one short line, nothing of the machinery."""
    assert text == text.strip()
    assert "\n" not in text
    assert len(text) < 600
    assert text.endswith((".", "?"))
    assert not re.search(r"pydantic|Error executing|Traceback|validation error|input_value|https?:|<class", text)


@pytest.mark.parametrize("name", BAD_CALLS)
async def test_a_call_that_cannot_be_served_says_what_to_change(client: Connection, name: str) -> None:
    tool, arguments, expected = BAD_CALLS[name]
    call = await client.call(tool, dict(arguments))
    assert call.result.is_error
    assert text_of(call.result) == expected
    assert call.result.structured_content is None
    check_error(expected)
    assert (await client.call("generate", {"prompt": "well?", "max_tokens": 9})).text == "fine"


@pytest.mark.parametrize(
    ("tool", "arguments", "place"),
    [
        ("generate", {"prompt": "\ud800"}, "prompt"),
        ("generate", {"prompt": "x", "stop": ["\ud800"]}, "stop.0"),
        ("chat", {"messages": [{"role": "user", "content": "x"}], "stop": ["\ud800"]}, "stop.0"),
        ("embed", {"texts": ["x"], "query": "\ud800"}, "query"),
        ("embed", {"texts": ["\ud800"]}, "texts.0"),
        ("count_tokens", {"text": "\ud800"}, "text"),
    ],
)
async def test_half_of_a_surrogate_pair_is_refused_and_not_replaced(
    tool: str, arguments: dict[str, Any], place: str
) -> None:
    message = tool_call("modern", 1, tool, arguments)
    async with staged(Scene()) as (_, url), raw_http(url, "modern") as http, http.stream(message) as response:
        answer = await last_message(response)
    assert answer["result"]["isError"]
    assert answer["result"]["content"][0]["text"].startswith(f"{place} is '\\ud800': input should be a valid string")


@pytest.mark.parametrize("name", LONG_INPUTS)
async def test_an_error_does_not_echo_a_long_input(client: Connection, name: str) -> None:
    tool, arguments = LONG_INPUTS[name]
    call = await client.call(tool, dict(arguments))
    assert call.result.is_error
    check_error(text_of(call.result))


async def test_a_prompt_that_is_not_there_is_the_callers_mistake(
    client: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(MCPError) as caught:
        await client.client.get_prompt("summarize")
    assert (caught.value.code, caught.value.message) == (INVALID_PARAMS, "Unknown prompt 'summarize'. There are none.")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_an_argument_of_a_tool_without_any_is_refused(client: Connection) -> None:
    call = await client.call("models", {"verbose": True})
    assert call.result.is_error
    assert text_of(call.result).startswith("Unknown argument of models 'verbose'.")
    assert "Known: ." not in text_of(call.result)


@pytest.mark.parametrize("era", ERAS)
async def test_numbers_that_are_none_are_refused(era: Era) -> None:
    # JSON has no such numbers, but many writers and readers of it do.
    async with staged(Scene(scripts={None: "fine"})) as (_, url), raw_http(url, era) as client:
        for argument in ("temperature", "top_p", "max_time_s", "max_tokens", "seed"):
            for value in (math.nan, math.inf, -math.inf):
                arguments = {"prompt": "x", "max_tokens": 9, argument: value}
                message = await last_message(await client.post(tool_call(era, 1, "generate", arguments)))
                if "result" in message:
                    assert message["result"]["isError"], arguments
                    check_error(message["result"]["content"][0]["text"])
        message = await last_message(await client.post(tool_call(era, 2, "generate", {"prompt": "x", "max_tokens": 9})))
        assert message["result"]["content"][0]["text"] == "fine"


async def test_a_full_queue_says_when_to_come_back() -> None:
    async with opened(PLAIN_DOOR, Scene(n_slots=1, engine=EngineLimits(max_queue=1))) as server:
        await server.stage.shut()
        calls = [server.client.tool_call("generate", {"prompt": f"call {n}", "max_tokens": 2}) for n in range(2)]
        async with task_group() as tasks:
            tasks.start_soon(calls[0].run)
            await server.stage.held()
            tasks.start_soon(calls[1].run)
            await server.stage.made(2)
            refused = await server.client.call("generate", {"prompt": "one too many"})
            await server.stage.open()
        assert refused.result.is_error
        pattern = r"Server busy: 1 requests? (is|are) waiting already\. Try again in about \d+ s\."
        assert re.fullmatch(pattern, text_of(refused.result))
        assert all(len(call.text) == 2 for call in calls)
        assert len((await server.client.call("generate", {"prompt": "again", "max_tokens": 3})).text) == 3


async def test_a_model_without_chat_template_points_to_generate() -> None:
    async with opened(PLAIN_DOOR, Scene(has_chat_template=False, scripts={None: "fine"})) as server:
        call = await server.client.call("chat", {"messages": USER})
        count = await server.client.call("count_tokens", {"messages": USER})
        plain = await server.client.call("generate", {"prompt": "Hi", "max_tokens": 9})
    for refused in (call, count):
        assert refused.result.is_error
        expected = "Model 'fake' has no chat template. Use the tool generate with a plain prompt."
        assert text_of(refused.result) == expected
    assert plain.text == "fine"


async def test_a_template_that_refuses_the_order_of_roles_is_quoted() -> None:
    async with staged(Scene(scripts={None: "fine"})) as (stage, url), connected_http(url, PLAIN_DOOR) as client:
        stage.model.chat_template = PICKY_TEMPLATE
        call = await client.call("chat", {"messages": [*USER, *USER]})
        good = await client.call("chat", {"messages": USER, "max_tokens": 9})
    expected = "The model's chat template refuses these messages: Roles must alternate user and assistant."
    assert call.result.is_error
    assert text_of(call.result) == expected
    assert good.text == "fine"


async def test_a_decode_that_fails_ends_only_the_call_at_fault() -> None:
    async with staged(Scene(scripts={None: "fine"})) as (stage, url), connected_http(url, PLAIN_DOOR) as client:

        def fail(rows: Rows) -> Exception | None:
            return DecodeError("the KV cache is full") if rows.tokens.count(ord("b")) > 1 else None

        stage.model.fault = fail
        bad = client.tool_call("generate", {"prompt": "b" * 40, "max_tokens": 9})
        good = client.tool_call("generate", {"prompt": "good", "max_tokens": 9})
        async with task_group() as tasks:
            tasks.start_soon(good.run)
            tasks.start_soon(bad.run)
        assert bad.result.is_error
        assert text_of(bad.result) == "llama.cpp could not compute this request: the KV cache is full"
        assert good.text == "fine"


async def test_a_broken_engine_is_told_without_its_internals() -> None:
    async with staged(Scene()) as (stage, url), connected_http(url, PLAIN_DOOR) as client:
        stage.model.fault = lambda rows: AssertionError(f"secret {rows}")
        running = await client.call("generate", {"prompt": "running"})
        later = await client.call("generate", {"prompt": "later"})
        models = await client.call("models", {})
    for call in (running, later):
        assert call.result.is_error
        assert text_of(call.result) == "The engine failed. Its log has the details; restart the server."
    assert not models.result.is_error


@pytest.mark.parametrize("era", ERAS)
async def test_a_defect_in_a_tool_is_told_without_its_text(era: Era, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> list[int]:
        raise ZeroDivisionError("secret")

    async with staged(Scene()) as (stage, url), connected_http(url, Door("http", era)) as client:
        monkeypatch.setattr(stage.model, "tokenize", fail)
        calls = [
            await client.call(tool, {key: "x"}) for tool, key in (("generate", "prompt"), ("count_tokens", "text"))
        ]
        monkeypatch.undo()
        assert all(call.result.is_error for call in calls)
        assert not any("secret" in text_of(call.result) for call in calls)
        assert (await client.call("generate", {"prompt": "x", "max_tokens": 2})).text
