"""The stdio server as a process: what is on its wire, and when it ends."""

import sys

import pytest
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import JSONRPCResponse, jsonrpc_message_adapter

from tests.server.client import Era, connected
from tests.server.raw import request, tool_call
from tests.server.raw_stdio import REAL_SERVER, raw_stdio
from tests.server.scene import SPEECH, Scene, split_bytes
from tests.server.serving import ROOT, Control, every_era

PROMISED_S = 5.0


@every_era
async def test_what_is_printed_while_the_model_loads_stays_off_the_wire(era: Era) -> None:
    scene = Scene(scripts={None: split_bytes(SPEECH, 5)}, prints=True)
    with Control(scene) as control:
        async with raw_stdio(era, control.command) as client:
            await client.send(tool_call(era, 1, "generate", {"prompt": "x"}))
            while "result" not in await client.receive():
                pass
            client.close_stdin()
            assert await client.receive_rest() == []
            assert await client.ended(PROMISED_S) == 0
            log = await client.log()
    for line in client.lines:
        jsonrpc_message_adapter.validate_json(line)
    assert "by Python" in log
    assert "written by native code" in log


async def test_a_talkative_real_server_writes_only_messages_to_stdout() -> None:
    era: Era = "legacy"
    async with raw_stdio(era, [*REAL_SERVER, "--log-level", "debug"]) as client:
        chat = {"messages": [{"role": "user", "content": "Say hello in French and Chinese."}], "max_tokens": 24}
        await client.send(request(era, 1, "tools/list", {}))
        await client.send(tool_call(era, 2, "chat", {**chat, "temperature": 0}))
        await client.send(tool_call(era, 3, "generat", {}))
        answered: set[int] = set()
        texts: list[str] = []
        while answered < {1, 2, 3}:
            message = await client.receive()
            if "id" in message:
                answered.add(message["id"])
            if message.get("id") == 2:
                texts.append(message["result"]["structuredContent"]["text"])
        client.close_stdin()
        assert await client.ended(PROMISED_S) == 0
        log = await client.log()
    for line in client.lines:
        jsonrpc_message_adapter.validate_json(line)
    assert texts[0]
    assert "finish=" in log


@every_era
@pytest.mark.parametrize("loading", [True, False], ids=["loading", "idle"])
async def test_the_end_of_stdin_ends_an_idle_server(era: Era, loading: bool) -> None:
    with Control(Scene(holds_load=loading)) as control:
        async with raw_stdio(era, control.command) as client:
            client.close_stdin()
            assert await client.ended(PROMISED_S) == 0
            assert await client.receive_rest() == []


@every_era
async def test_a_call_that_waits_for_the_model_ends_with_stdin(era: Era) -> None:
    with Control(Scene(holds_load=True)) as control:
        async with raw_stdio(era, control.command) as client:
            await client.send(tool_call(era, 1, "generate", {"prompt": "x"}))
            await client.receive()
            client.close_stdin()
            assert await client.ended(PROMISED_S) == 0


@every_era
async def test_a_line_that_is_no_message_does_not_end_the_session(era: Era) -> None:
    with Control(Scene(scripts={None: "fine"})) as control:
        async with raw_stdio(era, control.command) as client:
            await client.send_line("this is not JSON")
            await client.send_line("")
            await client.send(tool_call(era, 7, "generate", {"prompt": "x"}, progress=False))
            message = await client.receive()
            while message.get("id") != 7:
                message = await client.receive()
    assert message["result"]["structuredContent"]["text"] == "fine"


@every_era
async def test_an_sdk_client_talks_to_the_embedded_model(era: Era) -> None:
    command = StdioServerParameters(command=REAL_SERVER[0], args=list(REAL_SERVER[1:]), cwd=ROOT)
    async with connected(stdio_client(command, sys.__stderr__ or sys.stderr), era) as connection:
        arguments = {"prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
        call = await connection.call("generate", arguments)
        models = await connection.call("models", {})
    assert "Paris" in call.text
    assert call.messages == call.text
    assert isinstance(call.answers[-1], JSONRPCResponse)
    assert models.result.structured_content is not None
    assert models.result.structured_content["models"][0]["state"] == "ready"
