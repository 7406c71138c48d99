"""What the files of the bundle say of mcp-llama is true."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from mcp_llama import __version__
from mcp_llama.config import load_settings
from mcp_llama.settings.server import StdioSettings
from tests.bundle.bundle import SOURCE, Bundle
from tests.command import COMMAND, PATIENCE_S, SMALL
from tests.isolation import isolation
from tests.node.node import Node
from tests.uv import ROOT

MANIFEST: dict[str, Any] = json.loads((SOURCE / "manifest.json").read_text(encoding="utf-8"))
FORM: dict[str, dict[str, Any]] = MANIFEST["user_config"]
NUMBERS = [name for name, field in FORM.items() if field["type"] == "number"]


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


def toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def test_the_packer_finds_nothing_wrong_with_the_manifest(mcpb: Node) -> None:
    done = mcpb.run(mcpb.program("mcpb"), "validate", str(SOURCE / "manifest.json"))
    assert (done.status, done.err) == (0, ""), done
    assert "ERROR" not in done.out


def test_a_bundle_holds_its_files_and_nothing_that_lay_beside_them(bundle: Bundle) -> None:
    assert bundle.files == {"icon.png", "manifest.json", "pyproject.toml", "server.py"}


def test_the_bundle_has_the_version_of_the_package_and_asks_for_just_that() -> None:
    project = toml(SOURCE / "pyproject.toml")["project"]
    assert MANIFEST["version"] == project["version"] == __version__
    assert project["dependencies"] == [f"mcp-llama[embedded-model]=={__version__}"]


def test_the_bundle_builds_llama_cpp_with_the_flags_of_the_package() -> None:
    ours, theirs = (toml(folder / "pyproject.toml")["tool"]["uv"] for folder in (ROOT, SOURCE))
    assert theirs["config-settings-package"] == ours["config-settings-package"]


def test_the_bundle_needs_the_python_of_the_package() -> None:
    ours, theirs = (toml(folder / "pyproject.toml")["project"]["requires-python"] for folder in (ROOT, SOURCE))
    assert MANIFEST["compatibility"]["runtimes"]["python"] == theirs == ours


async def test_the_manifest_lists_the_tools_of_the_server() -> None:
    with anyio.fail_after(PATIENCE_S):
        async with Client(StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], "stdio", *SMALL])) as client:
            said = {tool.name: tool.description or "" for tool in (await client.list_tools()).tools}
    listed = {tool["name"]: tool["description"] for tool in MANIFEST["tools"]}
    assert list(listed) == list(said)
    for name, description in listed.items():
        assert said[name].startswith(description)


def test_every_field_of_the_form_is_an_option_that_reaches_the_server() -> None:
    assert MANIFEST["server"]["mcp_config"]["env"] == {
        f"MCP_LLAMA_{name.upper()}": f"${{user_config.{name}}}" for name in FORM
    }
    assert set(FORM) <= set(StdioSettings.model_fields)


@pytest.mark.parametrize("name", FORM)
def test_a_field_may_stay_blank_and_then_the_option_has_its_default(name: str) -> None:
    assert not FORM[name]["required"]
    assert FORM[name].get("default") == StdioSettings.model_fields[name].default


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("end", ["min", "max"])
def test_the_least_and_the_most_that_a_field_takes_are_fit_for_the_option(
    monkeypatch: pytest.MonkeyPatch, name: str, end: str
) -> None:
    monkeypatch.setenv(f"MCP_LLAMA_{name.upper()}", str(FORM[name][end]))
    assert getattr(load_settings(StdioSettings, "stdio", []), name) == FORM[name][end]


def test_the_readme_of_the_bundle_names_the_packer_that_is_tested() -> None:
    tested = json.loads(Path(__file__).with_name("package.json").read_text(encoding="utf-8"))["dependencies"]
    named = re.findall(r"(@anthropic-ai/mcpb)@([\d.]+)", (SOURCE / "README.md").read_text(encoding="utf-8"))
    assert dict(named) == tested
