"""The embedded model says the same through MCP and through `/v1`."""

from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import pytest

from mcp_llama.engine.llama import LlamaModel, ModelOptions
from tests.backends.one_model import backend_of
from tests.server.chats import TOOLS, Json
from tests.server.client import Connection
from tests.server.parity import through_mcp, through_v1
from tests.server.scene import MODEL_NAME
from tests.server.serving import PLAIN_DOOR, connected_http, serving

# Without flash attention a row's numbers do not depend on the rows beside it.
OPTIONS = ModelOptions(n_ctx=768, n_slots=3, n_threads=1, flash_attn="off")
USER: list[Json] = [{"role": "user", "content": "What is the weather like in Paris?"}]
SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}
CASES: dict[str, tuple[Json, str]] = {
    "text": ({"max_tokens": 24}, "length"),
    "required call": ({"tools": TOOLS, "tool_choice": "required", "max_tokens": 60}, "tool_calls"),
    "call if the model likes": ({"tools": TOOLS, "max_tokens": 24}, ""),
    "json": ({"json_schema": SCHEMA, "max_tokens": 60}, "stop"),
    "json that a limit cuts off": ({"json_schema": SCHEMA, "max_tokens": 5}, "length"),
    "two answers": ({"n": 2, "max_tokens": 16}, "length"),
}


@pytest.fixture(scope="module")
async def server(real_model_path: Path) -> AsyncGenerator[tuple[str, Connection]]:
    """A server with the embedded model, and a client of its tools."""
    backend = backend_of(MODEL_NAME, partial(LlamaModel, real_model_path, OPTIONS))
    async with serving(backend) as url, connected_http(url, PLAIN_DOOR) as client:
        yield url, client


@pytest.mark.parametrize("name", CASES)
async def test_the_model_says_the_same_through_both_doors(server: tuple[str, Connection], name: str) -> None:
    url, client = server
    options, reason = CASES[name]
    asked: Json = {"messages": USER, "temperature": 0, "seed": 5, **options}
    # Both find the prompt in the cache.
    await client.call("chat", {**asked, "max_tokens": 1})
    tool = await through_mcp(client, asked)
    v1 = await through_v1(url, asked)
    assert tool.messages == v1.messages
    assert tool.finals == v1.finals
    assert tool.reasons == v1.reasons
    assert tool.notes == v1.notes
    assert all(final["content"] or final["tool_calls"] for final in tool.finals)
    if reason:
        assert set(tool.reasons) == {reason}
