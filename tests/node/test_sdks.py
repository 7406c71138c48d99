"""The SDKs of TypeScript, old and new, through every door."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.node.node import Node, marks
from tests.node.servers import STDIO, counters

pytestmark = marks

SCRIPTS = [Path(__file__).parent / "clients" / name for name in ("v1.mjs", "v2.mjs", "play.mjs")]
Sdk = Literal["v1", "v2"]
Transport = Literal["http", "sse", "stdio"]
PATHS = {"http": "/mcp", "sse": "/sse"}
every_sdk = pytest.mark.parametrize("sdk", ["v1", "v2"])


@dataclass(frozen=True, slots=True)
class Play:
    """What a client told of its three calls: one that it heard to its end, one that it gave up, and the next one.

    `came` is what crossed the wire until the end of the first one, the parameters of its notifications and the result.
    """

    came: list[dict[str, Any]]
    heard: list[dict[str, Any]]
    whole: dict[str, Any]
    givenUp: str  # noqa: N815
    next: dict[str, Any]

    def check(self) -> None:
        """Assert what holds through every door."""
        *notifications, end = self.came
        assert end["result"]["structuredContent"] == self.whole["structuredContent"]
        progress = [each["progress"] for each in notifications]
        assert progress == sorted(set(progress))
        assert {each["total"] for each in notifications if "message" in each} == {progress[-1]}
        text = self.whole["structuredContent"]["text"]
        assert self.whole["content"] == [{"type": "text", "text": text}]
        assert "".join(each.get("message", "") for each in notifications) == text
        assert [each["progress"] for each in self.heard] == progress[: len(self.heard)]
        assert sum("message" in each for each in self.heard) > 1
        assert "enough" in self.givenUp
        assert self.next["structuredContent"]["usage"]["completion_tokens"] == 2


@pytest.fixture(scope="module")
def folder(node: Node) -> Path:
    return node.folder(node.home / "sdks", *SCRIPTS)


def play(node: Node, folder: Path, sdk: Sdk, *arguments: str) -> Play:
    done = node.run(folder / f"{sdk}.mjs", *arguments)
    assert done.status == 0, done.err
    return Play(**json.loads(done.out))


@pytest.mark.parametrize("transport", ["http", "sse"])
@every_sdk
def test_a_client_hears_every_token_and_frees_the_slot_when_it_gives_up(
    sdk: Sdk, transport: Transport, node: Node, folder: Path, url: str
) -> None:
    before = counters(url)
    play(node, folder, sdk, transport, url + PATHS[transport]).check()
    after = counters(url)
    assert after["mcp_llama_requests_cancelled_total"] == before["mcp_llama_requests_cancelled_total"] + 1
    assert after["llamacpp:requests_processing"] == 0


@every_sdk
def test_over_stdio_as_well(sdk: Sdk, node: Node, folder: Path) -> None:
    play(node, folder, sdk, "stdio", *STDIO).check()
