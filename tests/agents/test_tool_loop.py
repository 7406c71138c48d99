"""Coding agents call the tools for a model that follows a script."""

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.agents.agent import CLAUDE_CODE, CODEX, LOCAL, OPENCODE, REMOTE, Agent, Kind
from tests.agents.model import LAST_WORDS, scripted_model
from tests.command import PATIENCE_S

# The first test waits for all of them to be installed.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ARGUMENTS: dict[str, Any] = {"prompt": "Once upon a time", "max_tokens": 12, "temperature": 0}


@pytest.fixture(scope="module")
def text(url: str) -> str:
    """What the tool answers to everyone."""

    async def generate() -> str:
        with anyio.fail_after(PATIENCE_S):
            async with Client(url) as client:
                result = await client.call_tool("generate", ARGUMENTS)
        assert result.structured_content is not None
        return result.structured_content["text"]

    return anyio.run(generate)


def plain(result: str) -> str:
    return result


def structured(result: str) -> str:
    """The text in a result that agents hand on as an object; Codex says before it how long the call took."""
    return json.loads(result[result.index("{") :])["text"]


@pytest.mark.parametrize(
    ("kind", "text_of"),
    [(CLAUDE_CODE, structured), (CODEX, structured), (OPENCODE, plain)],
    ids=["claude-code", "codex", "opencode"],
)
def test_the_text_of_the_tool_comes_back_into_the_conversation(
    configured: Callable[[Kind], Agent], kind: Kind, text_of: Callable[[str], str], text: str
) -> None:
    with scripted_model((LOCAL, REMOTE), ARGUMENTS) as model:
        done = configured(kind).ask(model.url)
    assert (done.status, LAST_WORDS in done.out) == (0, True), done
    assert [text_of(result) for result in model.results] == [text, text]
