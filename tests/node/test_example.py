"""The example in TypeScript, with the packages that its own package.json names."""

import json
import signal
from pathlib import Path

import httpx2
import pytest

from tests.node.node import PACKAGES, Node, marks
from tests.node.servers import counters

pytestmark = marks

EXAMPLE = Path(__file__).parents[2] / "examples" / "typescript"
CHECK = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2024", "--types", "node")


@pytest.fixture(scope="module")
def script(node: Node) -> Path:
    return node.folder(node.home / "example", *EXAMPLE.iterdir()) / "stream.ts"


def test_the_example_is_run_with_the_packages_that_it_names() -> None:
    named, installed = (json.loads(path.read_text())["dependencies"] for path in (EXAMPLE / PACKAGES.name, PACKAGES))
    assert named == {name: installed.get(name) for name in named}


def test_the_example_prints_the_tokens_and_then_the_same_text_as_the_result(script: Path, node: Node, url: str) -> None:
    done = node.run(script, f"{url}/mcp", "Why is the sky blue?")
    result = json.loads(done.err)
    assert result["text"] + "\n" == done.out
    assert result["usage"]["completion_tokens"] > 1


def test_the_example_stops_the_model_on_ctrl_c(script: Path, node: Node, url: str) -> None:
    before = counters(url)
    with node.started(script, f"{url}/mcp", "Tell me a very long story.") as example:
        assert example.stdout is not None
        told = example.stdout.read(1)
        example.send_signal(signal.SIGINT)
        told += example.stdout.read()
    assert (told[1:].endswith("\nstopped\n"), example.returncode) == (True, 0)
    # Once this one had the slot, the one before is over and counted.
    httpx2.post(f"{url}/generate", json={"prompt": "Once", "max_tokens": 1}).raise_for_status()
    assert counters(url)["mcp_llama_requests_cancelled_total"] == before["mcp_llama_requests_cancelled_total"] + 1


def test_the_types_of_the_example_are_right(script: Path, node: Node) -> None:
    done = node.run(node.program("tsc"), *CHECK, "--typeRoots", str(node.modules / "@types"), str(script))
    assert done.status == 0, done.out
