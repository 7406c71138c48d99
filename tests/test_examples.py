"""The examples, run as the README says, against a real server with the real model."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import COMMAND, PATIENCE_S, SMALL

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [*COMMAND, "serve", "--port", "0", "--log-level", "warning", *SMALL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield next(line.split()[-1] for line in server.stdout if "/mcp" in line)
        server.terminate()


def run_example(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)


def test_every_example_is_run_by_a_test() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {"stream.py", "stdio.py", "throughput.py"}


def test_stream_prints_the_tokens_and_then_the_same_text_as_the_result(url: str) -> None:
    done = run_example("stream.py", url, "Why is the sky blue?")
    result = ast.literal_eval(done.stderr.splitlines()[0])
    assert result["text"] + "\n" == done.stdout
    assert result["usage"]["completion_tokens"] > 1


def test_stdio_stops_the_answer_half_way() -> None:
    done = run_example("stdio.py")
    assert done.stdout.endswith("\nstopped\n")
    assert len(done.stdout) > len("\nstopped\n")


def test_throughput_reports_a_ratio() -> None:
    done = run_example("throughput.py", "--streams", "2", "--tokens", "4", "--pairs", "1")
    assert "2 streams of 4 tokens: median ratio " in done.stdout
