"""`serve` and `stdio` as people start them."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from mcp_llama import __version__
from mcp_llama.config import load_settings
from mcp_llama.settings.server import StdioSettings
from tests.command import COMMAND, PATIENCE_S, SMALL
from tests.isolation import isolation

END_S = 15
LAST_LINE = "Ctrl-C ends the server."
INSTALLED = (str(Path(sys.executable).with_name("mcp-llama")),)


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs, and what it printed when it began to listen."""

    process: subprocess.Popen[str]
    welcome: str

    @property
    def entry(self) -> dict[str, Any]:
        """What it offers for the file of an MCP client."""
        return json.loads(self.welcome[self.welcome.index("{") : self.welcome.rindex("}") + 1])

    def end(self, by: signal.Signals) -> tuple[int, str]:
        """Send a signal; the exit status and what was said on stderr."""
        self.process.send_signal(by)
        _, err = self.process.communicate(timeout=END_S)
        return self.process.returncode, err


@contextmanager
def served(command: tuple[str, ...], *arguments: str) -> Generator[Server]:
    line = [*command, "serve", "--port", "0", *SMALL, *arguments]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while not lines or lines[-1].strip() != LAST_LINE:
                lines.append(process.stdout.readline())
                assert lines[-1], "the server ended"
            yield Server(process, "".join(lines))
        finally:
            process.kill()


async def models(server: str | StdioServerParameters) -> tuple[str, list[str]]:
    """The version that a server tells in the handshake, and the models that it serves."""
    with anyio.fail_after(PATIENCE_S):
        async with Client(server) as client:
            assert client.server_info is not None
            result = await client.call_tool("models", {})
            assert result.structured_content is not None
            return client.server_info.version, [model["name"] for model in result.structured_content["models"]]


def test_serve_prints_where_it_can_be_reached() -> None:
    with served(COMMAND) as server:
        (base,) = set(re.findall(r"http://127\.0\.0\.1:\d+", server.welcome))
        for path in ("/", "/mcp", "/sse", "/v1", "/docs"):
            assert f" {base}{path}\n" in server.welcome
        version, (name,) = anyio.run(models, f"{base}/mcp")
        assert version == __version__
        assert f"mcp-llama {__version__} serves {name} (no model was given, so the embedded one is used)" in (
            server.welcome
        )
        status, err = server.end(signal.SIGINT)
    assert (status, "Traceback" in err) == (130, False)


def test_an_end_while_the_model_is_loading_is_no_error(tmp_path: Path) -> None:
    long = tmp_path / "long.txt"
    long.write_text("word " * 6000)
    with served(COMMAND, "--n-ctx", "8192", "--warm", str(long)) as server:
        status, err = server.end(signal.SIGINT)
    assert status == 130
    (line,) = err.splitlines()
    assert " INFO " in line
    assert line.endswith(" was stopped: the server is shutting down.")


@pytest.mark.parametrize("command", [COMMAND, INSTALLED], ids=["module", "installed"])
def test_the_printed_entry_starts_the_same_model_over_stdio(
    command: tuple[str, ...], tmp_path: Path, real_model_path: Path
) -> None:
    model = tmp_path / "mine.gguf"
    shutil.copy(real_model_path, model)
    with served(command, "--model", str(model)) as server:
        (entry,) = server.entry["mcpServers"].values()
        status, err = server.end(signal.SIGTERM)
    assert (status, "Traceback" in err) == (0, False)
    assert shutil.which(entry["command"]) is not None, f"{entry['command']} is no command"
    assert Path(entry["command"]).is_absolute()
    flags = entry["args"][entry["args"].index("stdio") + 1 :]
    options = load_settings(StdioSettings, "stdio", flags).model_options()
    assert (options.n_ctx, options.n_slots, options.n_threads) == (256, 1, 1)
    parameters = StdioServerParameters(command=entry["command"], args=entry["args"], cwd=tmp_path)
    version, names = anyio.run(models, parameters)
    assert (version, names[0]) == (__version__, "mine")


def test_stdio_keeps_help_and_errors_off_the_wire_of_nobody() -> None:
    done = subprocess.run([*COMMAND, "stdio", "--help"], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert done.stdout.startswith("usage: mcp-llama stdio ")


def test_stdio_says_what_is_wrong_on_stderr_alone(tmp_path: Path) -> None:
    line = [*COMMAND, "stdio", "--model", str(tmp_path / "nowhere.gguf")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_S, check=False, input="")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"mcp-llama: No model file at {tmp_path}/nowhere.gguf. Give the path of a GGUF file.\n"
