"""The command of an entry: it works from any folder, with the options that were given."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_llama.clients.server import Address, launch, this_program
from mcp_llama.config import load_settings
from mcp_llama.errors import ConfigError
from mcp_llama.settings.server import ServeSettings, StdioSettings
from tests.isolation import isolation

PROGRAM = ["/bin/mcp-llama"]
MODEL = Path("/models/my own.gguf")


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        yield


def test_the_command_has_the_options_that_were_given_and_no_other() -> None:
    words = ["--port", "1", "--model", "x.gguf", "--n-ctx", "64", "--warm", "a.txt", "--warm", "b.txt"]
    found = launch(load_settings(ServeSettings, "serve", words), MODEL, PROGRAM)
    warm = [word for name in ("a.txt", "b.txt") for word in ("--warm", str(Path.cwd() / name))]
    assert (found.command, list(found.args)) == (
        "/bin/mcp-llama",
        ["stdio", "--model", str(MODEL), "--n-ctx", "64", *warm],
    )


def test_the_command_gives_the_options_of_the_environment_and_of_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MCP_LLAMA_N_SLOTS", "2")
    (tmp_path / "own.toml").write_text("n_batch = 64\n")
    found = launch(load_settings(StdioSettings, "stdio", ["--config", "own.toml"]), MODEL, PROGRAM)
    assert list(found.args) == ["stdio", "--model", str(MODEL), "--n-batch", "64", "--n-slots", "2"]


def test_the_command_is_read_back_as_the_same_options() -> None:
    words = ["--n-gpu-layers", "-1", "--reasoning-marks", "<a> </a>", "--max-time-s", "1.5", "--cache-dir", "/c d"]
    settings = load_settings(StdioSettings, "stdio", words)
    again = load_settings(StdioSettings, "stdio", list(launch(settings, MODEL, PROGRAM).args[1:]))
    assert again.model_dump() == {**settings.model_dump(), "model": str(MODEL)}


def test_a_call_may_take_as_long_as_the_server_lets_it_and_the_model_takes_to_load() -> None:
    assert launch(load_settings(StdioSettings, "stdio", []), MODEL).patience_s == 600
    long = load_settings(StdioSettings, "stdio", ["--max-time-s", "900.5"])
    assert launch(long, MODEL).patience_s == 1201
    assert Address(url="http://a").patience_s == 600


def test_a_path_that_is_no_utf_8_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'/models/\\udcff.gguf' is not UTF-8"):
        launch(load_settings(StdioSettings, "stdio", []), Path("/models/\udcff.gguf"), PROGRAM)


def test_an_installed_program_is_named_by_its_absolute_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mcp-llama").touch()
    monkeypatch.setattr(sys, "argv", ["./mcp-llama"])
    assert this_program() == [str(tmp_path / "mcp-llama")]


def test_the_launcher_of_windows_is_named_with_its_suffix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mcp-llama.exe").touch()
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "mcp-llama")])
    assert this_program() == [str(tmp_path / "mcp-llama.exe")]


@pytest.mark.parametrize("script", ["__main__.py", "pytest", "gone/mcp-llama"])
def test_any_other_start_is_the_module_without_the_folder_of_the_client(
    script: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pytest").touch()
    monkeypatch.setattr(sys, "argv", [str(tmp_path / script)])
    assert this_program() == [sys.executable, "-P", "-m", "mcp_llama"]
