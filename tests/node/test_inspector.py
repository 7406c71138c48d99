"""The Inspector's command line against the real server: every era and transport."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.node.node import Node, marks
from tests.node.servers import STDIO

pytestmark = marks

Era = Literal["legacy", "auto", "modern"]
TOOLS = ["chat", "count_tokens", "embed", "generate", "models"]
PROMPT = {"prompt": "Once upon a time", "max_tokens": 5, "temperature": 0}
QUESTION = {"messages": [{"role": "user", "content": "Why is the sky blue?"}], "max_tokens": 5}
TOOL_FAILED = 5


def inspected(node: Node, *arguments: str, status: int = 0) -> dict[str, Any]:
    """What the Inspector printed as the result."""
    done = node.run(node.program("mcp-inspector"), "--cli", *arguments, "--format", "json", "--quiet")
    assert done.status == status, done.err
    return json.loads(done.out)["result"]


def called(
    node: Node, target: tuple[str, ...], tool: str, arguments: dict[str, Any], status: int = 0
) -> dict[str, Any]:
    call = ("--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))
    return inspected(node, *target, *call, status=status)


def check_text(result: dict[str, Any]) -> None:
    """Assert that a result is a text of five tokens, told twice."""
    out = result["structuredContent"]
    assert result["isError"] is False
    assert result["content"] == [{"type": "text", "text": out["text"]}]
    assert (out["finish_reason"], out["usage"]["completion_tokens"]) == ("length", 5)


def names(result: dict[str, Any]) -> list[str]:
    return sorted(tool["name"] for tool in result["tools"])


@pytest.fixture(params=["legacy", "auto", "modern"])
def target(request: pytest.FixtureRequest, url: str) -> tuple[str, ...]:
    """The server over Streamable HTTP, in each era."""
    return (f"{url}/mcp", "--protocol-era", str(request.param))


def test_it_lists_the_tools_and_finds_no_error_in_their_schemas(node: Node, target: tuple[str, ...]) -> None:
    assert names(inspected(node, *target, "--method", "tools/list", "--strict")) == TOOLS


def test_it_generates(node: Node, target: tuple[str, ...]) -> None:
    check_text(called(node, target, "generate", PROMPT))


def test_it_chats(node: Node, target: tuple[str, ...]) -> None:
    check_text(called(node, target, "chat", QUESTION))


def test_it_lists_the_models(node: Node, target: tuple[str, ...]) -> None:
    (model,) = called(node, target, "models", {})["structuredContent"]["models"]
    assert (model["state"], model["n_ctx"]) == ("ready", 8192)


def test_it_shows_what_was_wrong_with_an_argument(node: Node, target: tuple[str, ...]) -> None:
    wrong = {"prompt": "Once upon a time", "max_token": 5}
    result = called(node, target, "generate", wrong, status=TOOL_FAILED)
    assert result["isError"] is True
    (block,) = result["content"]
    assert block["text"] == "Unknown argument of generate 'max_token'. Did you mean 'max_tokens'?"


def test_it_lists_the_tools_over_sse(node: Node, url: str) -> None:
    assert names(inspected(node, f"{url}/sse", "--method", "tools/list")) == TOOLS


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_it_starts_the_server_of_a_configuration_file(era: Era, node: Node, tmp_path: Path) -> None:
    entry = {"type": "stdio", "command": STDIO[0], "args": STDIO[1:], "protocolEra": era}
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"llm": entry}}))
    check_text(called(node, ("--config", str(file), "--server", "llm"), "generate", PROMPT))
