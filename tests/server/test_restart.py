"""A real server that computes a system prompt at its start, ends, and is started again."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.command import COMMAND, PATIENCE_S, run_here
from tests.isolation import isolation
from tests.server.heard import PROMISED_S

# Without flash attention a prompt that is computed in pieces is the same to the last bit.
OPTIONS = ("--n-ctx", "512", "--n-slots", "2", "--n-threads", "1", "--flash-attn", "off")
SYSTEM = "You know all about ships, and you answer in one short sentence. " * 12


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


@pytest.fixture
def warm(tmp_path: Path) -> Path:
    path = tmp_path / "system.txt"
    path.write_text(f"{SYSTEM}\n", encoding="utf-8")
    return path


@dataclass(frozen=True, slots=True)
class Answer:
    """What a chat gave."""

    text: str
    prompt_tokens: int
    cached_tokens: int


@dataclass(slots=True)
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    url: str
    told: str = ""

    def chat(self, *said: str) -> Answer:
        """The answer to a conversation, questions and answers in turn."""
        roles = ("user", "assistant")
        messages = [{"role": roles[index % 2], "content": content} for index, content in enumerate(said)]
        body = {"messages": [{"role": "system", "content": SYSTEM}, *messages], "temperature": 0, "max_tokens": 16}
        request = urllib.request.Request(
            f"{self.url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            answer: dict[str, Any] = json.load(response)
        usage = answer["usage"]
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        return Answer(answer["choices"][0]["message"]["content"], usage["prompt_tokens"], cached)

    def end(self) -> str:
        """Send SIGTERM; what was told on stderr. It ends as soon as it has promised."""
        self.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        _, self.told = self.process.communicate(timeout=PATIENCE_S)
        assert time.monotonic() - began < PROMISED_S
        assert (self.process.returncode, "Traceback" in self.told) == (0, False), self.told
        return self.told


@contextmanager
def served(*arguments: str) -> Generator[Server]:
    line = [*COMMAND, "serve", "--port", "0", *OPTIONS, *arguments]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = None
            while address is None:
                address = re.search(r"(http://[\d.:]+)/mcp", process.stdout.readline())
            yield Server(process, address[1])
        finally:
            process.kill()


def test_a_server_goes_on_where_it_ended(warm: Path, tmp_path: Path) -> None:
    keeping = ("--warm", str(warm), "--cache-dir", str(tmp_path / "cache"))
    with served() as server:
        first = server.chat("What is a sloop?")
        assert first.cached_tokens == 0
        server.end()
    with served() as server:
        second = server.chat("What is a sloop?", first.text, "And a brig?")
        assert second.cached_tokens == 0
        server.end()

    with served(*keeping) as server:
        warmed = server.chat("What is a sloop?")
        told = server.end()
    prefix = re.search(r"system\.txt: (\d+) tokens computed", told)
    assert prefix is not None, told
    assert (warmed.text, warmed.cached_tokens) == (first.text, int(prefix[1]))
    # What is not in the prefix is the question and how the template asks for the answer.
    assert 0 < warmed.prompt_tokens - warmed.cached_tokens < 20
    assert "Kept 1 of 1 sequences" in told

    with served(*keeping) as server:
        again = server.chat("What is a sloop?", first.text, "And a brig?")
        told = server.end()
    assert again.text == second.text
    assert again.cached_tokens > warmed.prompt_tokens
    assert f"system.txt: {prefix[1]} tokens loaded" in told


@pytest.mark.parametrize("command", ["serve", "stdio"])
def test_a_text_or_a_folder_that_cannot_be_used_is_refused_before_anything_is_loaded(
    command: str, warm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = run_here(capsys, command, "--warm", str(tmp_path / "missing.txt"), *OPTIONS).problem(2)
    assert (
        missing
        == f"mcp-llama: --warm {tmp_path}/missing.txt cannot be read: No such file or directory. Give a text file."
    )
    unwritable = run_here(capsys, command, "--cache-dir", str(warm / "cache"), *OPTIONS).problem(2)
    assert unwritable == f"mcp-llama: --cache-dir {warm}/cache cannot be written: Not a directory. Give another folder."


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_stdio_server_whose_client_leaves_keeps_what_it_has(tmp_path: Path) -> None:
    """It has two seconds until a client kills it."""
    said = [
        {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "generate", "arguments": {"prompt": SYSTEM, "max_tokens": 4}}},
    ]  # fmt: skip
    line = [*COMMAND, "stdio", *OPTIONS, "--cache-dir", str(tmp_path / "cache")]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("".join(json.dumps(message) + "\n" for message in said))
            process.stdin.flush()
            while '"id":1' not in process.stdout.readline():
                pass
            process.stdin.close()
            process.wait(PROMISED_S)
        finally:
            process.kill()
    assert len(list((tmp_path / "cache").rglob("sequence-*.state"))) == 1
    assert list((tmp_path / "cache").rglob("*.tmp")) == []
