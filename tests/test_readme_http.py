"""The HTTP commands and programs of the README, run against a real server with the real model."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.command import COMMAND, PATIENCE_S, SMALL
from tests.test_readme import Block, blocks, commands

SHOWN = "http://127.0.0.1:8080"
CURLS = [command for command in commands() if command[0] == "curl"]


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    command = [*COMMAND, "serve", "--port", "0", "--max-tokens", "16", "--log-level", "warning", *SMALL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield next(line.split()[-1] for line in server.stdout if "/mcp" in line).removesuffix("/mcp")
        server.terminate()


@pytest.mark.parametrize("command", CURLS, ids=lambda command: command[2])
def test_a_curl_command_of_the_readme_shows_tokens(command: list[str], base: str) -> None:
    here = [word.replace(SHOWN, base) for word in command]
    assert here != command
    done = subprocess.run(here, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    events = [line for line in done.stdout.splitlines() if line.startswith("data: ")]
    assert '"text":' in events[0]
    assert events[-1] == "data: [DONE]"


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: f"line {block.line}")
def test_a_python_program_of_the_readme_prints_an_answer(base: str, block: Block) -> None:
    program = block.text.replace(SHOWN, base)
    assert program != block.text
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert len(done.stdout.split()) > 1


def test_the_readme_has_a_curl_command() -> None:
    assert CURLS
