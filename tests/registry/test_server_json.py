"""server.json, as the registry checks it and as clients start a server by it."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from mcp_llama import __version__
from mcp_llama.settings.server import ServeSettings, StdioSettings
from tests.command import PATIENCE_S, SMALL
from tests.uv import ROOT, desktop, uv

FILE = ROOT / "examples" / "registry" / "server.json"
SERVER: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
STDIO, HTTP = SERVER["packages"]
PACKAGES = {"stdio": STDIO, "http": HTTP}
SETTINGS = {"stdio": StdioSettings, "http": ServeSettings}
INPUTS = [
    pytest.param(transport, argument, id=f"{transport} {argument['name']}")
    for transport, package in PACKAGES.items()
    for argument in (*package["environmentVariables"], *package["packageArguments"])
    if "name" in argument
]


def linted(folder: Path) -> int:
    """The exit status of a linter that has the registry's schemas."""
    command = [sys.executable, "-m", "skillsaw", "lint", "--strict", str(folder)]
    return subprocess.run(command, capture_output=True, check=False, cwd=folder).returncode


def test_the_registrys_schema_finds_nothing_wrong(tmp_path: Path) -> None:
    shutil.copy(FILE, tmp_path)
    assert linted(tmp_path) == 0


@pytest.mark.parametrize("wrong", [{"description": "x" * 101}, {"name": "mcp-llama"}, {"version": "latest"}])
def test_the_registrys_schema_would_find_what_is_wrong(tmp_path: Path, wrong: dict[str, str]) -> None:
    (tmp_path / FILE.name).write_text(json.dumps({**SERVER, **wrong}), encoding="utf-8")
    assert linted(tmp_path) != 0


def test_it_has_the_version_of_the_package() -> None:
    assert {SERVER["version"], *(package["version"] for package in PACKAGES.values())} == {__version__}


@pytest.mark.parametrize(("transport", "argument"), INPUTS)
def test_every_input_is_an_option_as_help_shows_it(transport: str, argument: dict[str, Any]) -> None:
    name = argument["name"].removeprefix("MCP_LLAMA_").strip("-").replace("-", "_").lower()
    option = SETTINGS[transport].model_fields[name]
    assert argument["description"] == option.description
    assert argument.get("default") == (None if option.default is None else str(option.default))
    if "choices" in argument:
        assert tuple(argument["choices"]) == option.annotation.__args__  # pyright: ignore


def words(arguments: list[dict[str, Any]], given: dict[str, str]) -> list[str]:
    """The command line that a client makes of arguments: what is given, fixed, or the default."""
    found: list[str] = []
    for argument in arguments:
        value = argument.get("value") or given.get(argument["name"]) or argument["default"]
        found.append(f"{argument['name']}={value}" if argument["type"] == "named" else value)
    return found


def command(package: dict[str, Any], **given: str) -> list[str]:
    """What a client runs."""
    runtime = [str(uv().with_name(package["runtimeHint"])), *words(package["runtimeArguments"], {})]
    values = {f"--{name}": value for name, value in given.items()}
    name = f"{package['identifier']}@{package['version']}"
    return [*runtime, name, *words(package["packageArguments"], values), *SMALL]


async def generated(server: StdioServerParameters | str) -> tuple[dict[str, Any], str]:
    """The result of `generate`, and its progress messages, joined."""
    heard: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    with anyio.fail_after(PATIENCE_S):
        async with Client(server) as client:
            arguments = {"prompt": "Once upon a time", "max_tokens": 6}
            result = await client.call_tool("generate", arguments, progress_callback=hear)
    assert result.structured_content is not None, result
    return result.structured_content, "".join(heard)


@pytest.mark.slow
async def test_the_first_package_starts_a_server_over_stdio(own_packages: dict[str, str], tmp_path: Path) -> None:
    program, *arguments = command(STDIO)
    blank = {variable["name"]: variable.get("default", "") for variable in STDIO["environmentVariables"]}
    env = {**desktop(tmp_path), **own_packages, **blank}
    result, heard = await generated(StdioServerParameters(command=program, args=arguments, env=env, cwd=tmp_path))
    assert result["usage"]["completion_tokens"] == 6
    assert heard == result["text"] != ""


@pytest.mark.slow
def test_the_second_package_starts_a_server_at_its_url(own_packages: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    url = HTTP["transport"]["url"].replace("{--port}", port)
    env = {**desktop(tmp_path), **own_packages}
    with subprocess.Popen(command(HTTP, port=port), stdout=subprocess.PIPE, text=True, env=env, cwd=tmp_path) as server:
        try:
            assert server.stdout is not None
            assert any(url in line for line in server.stdout)
            result, heard = anyio.run(generated, url)
        finally:
            server.terminate()
    assert result["usage"]["completion_tokens"] == 6
    assert heard == result["text"] != ""
