"""The examples, run as the README says, against a real server with the real model."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import PATIENCE_S, SMALL, served

EXAMPLES = Path(__file__).parents[1] / "examples"

TESTED_IN = {"bundle": "bundle", "frameworks": "frameworks", "registry": "registry", "typescript": "node"}
"""The folder of tests for each folder of examples."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(*SMALL) as base:
        yield f"{base}/mcp"


def run_example(name: str, *arguments: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == status, done.stderr
    return done


def test_every_example_is_run_by_a_test() -> None:
    tested = {"stream.py", "stdio.py", "openai_stream.py", "similarity.py"}
    tested |= {"tools.py", "structured.py"}
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == tested


def test_every_folder_of_examples_is_run_by_tests_of_its_own() -> None:
    folders = {path.parent.name for path in EXAMPLES.glob("*/*.*") if path.suffix not in (".md", ".svg")}
    assert "frameworks" in folders
    assert folders <= TESTED_IN.keys()
    assert all((Path(__file__).parent / TESTED_IN[name]).is_dir() for name in folders)


def test_stream_prints_the_tokens_and_then_the_same_text_as_the_result(url: str) -> None:
    done = run_example("stream.py", url, "Why is the sky blue?")
    result = ast.literal_eval(done.stderr.splitlines()[0])
    assert result["text"] + "\n" == done.stdout
    assert result["usage"]["completion_tokens"] > 1


def test_stream_says_what_was_wrong_with_a_call(url: str) -> None:
    done = run_example("stream.py", url, "blue " * 300)
    assert done.stdout == "\n"
    assert "but the context holds 256" in done.stderr


def test_openai_stream_prints_tokens_and_their_number(url: str) -> None:
    done = run_example("openai_stream.py", url.replace("/mcp", "/v1"), "Why is the sky blue?")
    assert len(done.stdout.split()) > 1
    assert json.loads(done.stderr.strip())["completion_tokens"] > 1


def test_tools_streams_a_call_and_an_answer_with_its_result(url: str) -> None:
    done = run_example("tools.py", url.replace("/mcp", "/v1"), "How warm is it in Paris?")
    assert json.loads(done.stderr.splitlines()[-1]) == {"city": "Paris"}
    assert "24" in done.stdout


def test_structured_prints_an_object_that_fits_its_schema(url: str) -> None:
    printed = json.loads(run_example("structured.py", url, "Describe a cat.").stdout)
    assert list(printed) == ["kind", "legs", "sound"]
    assert printed["kind"] in ("dog", "cat", "bird")
    assert printed["legs"] in range(9)


def test_structured_says_why_there_is_no_object(url: str) -> None:
    done = run_example("structured.py", url, "cat " * 300, status=1)
    assert done.stdout == ""
    assert "but the context holds 256" in done.stderr
    assert "Traceback" not in done.stderr


def test_similarity_ranks_the_nearest_text_first(url: str) -> None:
    texts = ["The stock market fell sharply today.", "A kitten lay on the rug."]
    done = run_example("similarity.py", url.replace("/mcp", "/v1"), "The cat sat on the mat.", *texts)
    scores, ranked = zip(*(line.split("  ") for line in done.stdout.splitlines()), strict=True)
    assert list(ranked) == texts[::-1]
    assert sorted(map(float, scores), reverse=True) == list(map(float, scores))


def test_stdio_stops_the_answer_half_way() -> None:
    done = run_example("stdio.py")
    assert done.stdout.endswith("\nstopped\n")
    assert len(done.stdout) > len("\nstopped\n")
