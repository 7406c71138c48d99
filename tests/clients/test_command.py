"""`mcp-llama config` as people type it."""

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from ruamel.yaml import YAML

from mcp_llama.clients.catalog import CLIENTS
from mcp_llama.clients.command import run_config
from mcp_llama.clients.place import Place, this_place
from mcp_llama.config import load_settings
from mcp_llama.settings.clients import ClientSettings
from tests.command import PATIENCE_S, SMALL, run_here
from tests.isolation import isolation

INSTALLED = str(Path(sys.executable).with_name("mcp-llama"))
URL = "http://127.0.0.1:8080/mcp"
WITH_FILE = [name for name in CLIENTS if name != "json"]
MOVING = (
    "APPDATA", "LOCALAPPDATA", "FLATPAK_XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "GEMINI_CLI_HOME",
    "CLINE_MCP_SETTINGS_PATH", "CLINE_DATA_DIR", "CLINE_DIR", "CONTINUE_GLOBAL_DIR",
)  # fmt: skip

# What a person may have in the file already.
MINE = {
    "json": '{\n\t"theme": "dark",\n\t"%s": {\n\t\t"mine": {"command": "x"}\n\t}\n}\n',
    "jsonc": '// Mine\r\n{\r\n  "%s": {\r\n    "mine": {"url": "http://x"}, // keep\r\n  },\r\n}\r\n',
    "toml": '# Mine\nmodel = "m"\n\n[%s.mine]\ncommand = "x" # keep\n\n# tools\n[tools]\nweb = true\n',
    "yaml": "# Mine\n%s:\n  mine:\n      cmd: x # keep\nother: [1,   2]\n",
    "list": "# Mine\n%s:\n  - name: mine\n    command: x # keep\nother: [1,   2]\n",
}
DAMAGED = {
    "json": ('{"a": 1,}', "line 1, column 9 is not JSON"),
    "jsonc": ('{\n  "a" 1\n}', "line 2, column 7 is not JSON"),
    "toml": ("a = 1\nb = \n", "it is not TOML: Invalid value (at line 2, column 5)"),
    "yaml": ("a: 1\n b: 2\n", "line 2, column 3 is not YAML"),
}


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        for name in MOVING:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.chdir(tmp_path)
        yield


def file_of(client: str) -> Path:
    file = CLIENTS[client].file(this_place())
    assert file is not None
    return file


def parsed(client: str, text: str) -> dict[str, Any]:
    """What a text without comments says in the language of a client."""
    language = CLIENTS[client].language
    if language == "toml":
        return tomllib.loads(text)
    if language == "yaml":
        return YAML(typ="safe", pure=True).load(text)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return json.loads(text)


def mine(client: str) -> str:
    known = CLIENTS[client]
    return MINE["list" if known.listed else known.language] % known.container


def folder_of(file: Path) -> set[str]:
    return {path.name for path in file.parent.iterdir()}


def test_without_a_client_the_known_ones_are_listed_with_their_files(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_here(capsys, "config")
    assert outcome.status == 0
    rows = dict(line.split(maxsplit=1) for line in outcome.out.splitlines())
    assert list(rows) == list(CLIENTS)
    assert {name: rows[name] for name in WITH_FILE} == {name: str(file_of(name)) for name in WITH_FILE}
    assert "mcp-llama config CLIENT" in outcome.err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("clude-code",), "Unknown client 'clude-code'. Did you mean 'claude-code'?"),
        (("--write",), "--write needs a client: mcp-llama config CLIENT."),
        (("--n-ctx", "64"), "--n-ctx needs a client: mcp-llama config CLIENT."),
        (("json", "--write"), "json is no client with a file of its own. Name the file with --file FILE."),
        (
            ("cursor", "--url", URL, "--n-ctx", "64"),
            "--n-ctx is for a server that the client starts, and --url names one that runs.",
        ),
        (
            ("cursor", "--url", "localhost"),
            "url is 'localhost': it must begin with http:// or https:// and name a host.",
        ),
        (("cursor", "--url", "http:///mcp"), "url is 'http:///mcp': it must begin with http:// or https:// and"),
        (("cursor", "--name", "a b"), "name is 'a b': it may have up to 64 letters, digits, dashes and underscores."),
        (
            ("claude-desktop", "--url", URL),
            "Claude Desktop starts its servers itself: its file takes no URL. Leave --url out, or let it start a "
            f"bridge, such as npx -y mcp-remote {URL} --transport http-only, which needs Node.js.",
        ),
    ],
)
def test_what_does_not_add_up_is_one_line(
    typed: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(capsys, "config", *typed).problem(2).startswith(f"mcp-llama: {said}")


def test_a_model_that_is_not_there_gives_no_entry(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = run_here(capsys, "config", "cursor", "--write", "--model", str(tmp_path / "no.gguf")).problem(1)
    assert f"No model file at {tmp_path}/no.gguf." in line
    assert not file_of("cursor").exists()


@pytest.mark.parametrize("client", CLIENTS)
def test_the_entry_alone_is_on_stdout_and_where_it_belongs_on_stderr(
    client: str, capsys: pytest.CaptureFixture[str], real_model_path: Path
) -> None:
    outcome = run_here(capsys, "config", client, "--n-ctx", "64", "--max-time-s", "900")
    assert outcome.status == 0
    (entry,) = entries(client, outcome.out)
    start: Any = entry.get("command") or entry.get("cmd")
    words: list[str] = [start, *entry["args"]] if isinstance(start, str) else start
    assert words[:2] == [sys.executable, "-P"]
    assert words[words.index("stdio") :] == [
        "stdio", "--max-time-s", "900.0", "--model", str(real_model_path), "--n-ctx", "64",
    ]  # fmt: skip
    limits = {key: value for key, value in entry.items() if "timeout" in key.lower() and "startup" not in key}
    assert set(limits.values()) <= {1200, 1_200_000}
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"{CLIENTS[client].title}: it belongs in ")
    if client != "json":
        assert str(file_of(client)) in line
        assert not file_of(client).exists()


def entries(client: str, text: str) -> list[dict[str, Any]]:
    container = parsed(client, text)[CLIENTS[client].container]
    return container if CLIENTS[client].listed else list(container.values())


@pytest.mark.parametrize("client", WITH_FILE)
def test_a_file_that_is_not_there_is_written_with_the_printed_entry(
    client: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run_here(capsys, "config", client, "--write")
    assert outcome.status == 0
    text = file_of(client).read_text(encoding="utf-8")
    assert text == CLIENTS[client].preamble + outcome.out
    assert (
        outcome.err == f"{CLIENTS[client].title}: the entry is in {file_of(client)}. Now {CLIENTS[client].next_step}.\n"
    )
    assert folder_of(file_of(client)) == {file_of(client).name}


@pytest.mark.parametrize("client", WITH_FILE)
def test_the_entry_is_merged_once_and_the_file_as_it_was_is_kept(
    client: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = file_of(client)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(mine(client).encode())
    command = ("config", client, "--write", *(("--url", URL) if client != "claude-desktop" else ()))
    backup = file.with_name(f"{file.name}.bak")
    first = run_here(capsys, *command)
    assert f"the entry is in {file}; as it was before, it is {backup}. Now " in first.err
    assert backup.read_bytes() == mine(client).encode()
    merged = file.read_bytes()
    for line in mine(client).splitlines():
        assert line.strip().rstrip("}, ") in merged.decode()
    second = run_here(capsys, *command)
    assert second.out == first.out
    assert second.err == f"{CLIENTS[client].title}: {file} has this entry already, and was not changed.\n"
    assert file.read_bytes() == merged
    run_here(capsys, "config", client, "--write", "--n-ctx", "64")
    assert file.read_text(encoding="utf-8").count('"64"' if client not in ("goose", "continue") else "'64'") == 1
    assert folder_of(file) == {file.name, backup.name, f"{file.name}.bak2"}


@pytest.mark.parametrize("client", WITH_FILE)
def test_a_damaged_file_is_left_alone_and_the_place_is_told(client: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, said = DAMAGED[CLIENTS[client].language]
    file = file_of(client)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    line = run_here(capsys, "config", client, "--write").problem(1)
    assert line.startswith(f"mcp-llama: {file} was not changed: {said}")
    assert file.read_text() == text
    assert folder_of(file) == {file.name}


@pytest.mark.parametrize(
    ("platform", "client", "file"),
    [
        ("linux", "vscode", ".config/Code/User/mcp.json"),
        ("darwin", "vscode", "Library/Application Support/Code/User/mcp.json"),
        ("win32", "vscode", "AppData/Roaming/Code/User/mcp.json"),
        ("darwin", "goose", ".config/goose/config.yaml"),
        ("win32", "goose", "AppData/Roaming/Block/goose/config/config.yaml"),
    ],
)
def test_each_system_has_its_own_file(platform: str, client: str, file: str, tmp_path: Path) -> None:
    home = tmp_path / "home of ann"
    settings = load_settings(ClientSettings, "config", [client, "--write", "--url", URL])
    for _ in range(2):
        assert run_config(settings, Place(platform=platform, home=home, env={})) == 0
    assert [path for path in home.rglob("*") if path.is_file()] == [home / file]
    assert URL in (home / file).read_text()


def test_another_file_and_another_name_may_be_given(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    outcome = run_here(capsys, "config", "json", "--write", "--file", ".mcp.json", "--name", "mine", "--url", URL)
    assert outcome.err.startswith(f"any other client: the entry is in {tmp_path}/.mcp.json.")
    text = (tmp_path / ".mcp.json").read_text()
    assert json.loads(text) == {"mcpServers": {"mine": {"type": "http", "url": URL}}}
    assert text == outcome.out


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://llama.example/"])
def test_a_url_without_a_path_is_taken_with_a_hint(capsys: pytest.CaptureFixture[str], url: str) -> None:
    outcome = run_here(capsys, "config", "cursor", "--url", url)
    assert json.loads(outcome.out) == {"mcpServers": {"mcp-llama": {"url": url}}}
    assert outcome.err.splitlines()[1:] == [f"{url} has no path, but mcp-llama serve answers MCP clients at /mcp."]


def test_a_url_with_a_path_needs_no_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(run_here(capsys, "config", "cursor", "--url", URL).err.splitlines()) == 1


def test_an_entry_for_any_other_client_says_how_to_name_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(capsys, "config", "json").err.startswith(
        "any other client: it belongs in the file of your client, where --write --file FILE puts it. "
    )


def test_options_of_the_environment_do_not_disturb_an_entry_with_a_url(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_LLAMA_N_CTX", "64")
    assert json.loads(run_here(capsys, "config", "cursor", "--url", URL).out) == {
        "mcpServers": {"mcp-llama": {"url": URL}}
    }


def test_a_file_that_would_put_an_older_one_out_of_force_is_not_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    older = tmp_path / ".continue" / "config.json"
    older.parent.mkdir()
    older.write_text("{}")
    line = run_here(capsys, "config", "continue", "--write").problem(2)
    assert line == f"mcp-llama: Continue would no longer read {older} if there were a config.yaml. Convert it first."
    file_of("continue").write_text("name: Mine\n")
    assert run_here(capsys, "config", "continue", "--write").status == 0


def test_the_other_commands_do_not_wait_for_what_only_this_one_needs() -> None:
    script = "import sys, mcp_llama.commands.serve; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert "mcp_llama.clients.server" in done.stdout.splitlines()
    assert {"tomlkit", "ruamel.yaml", "mcp_llama.clients.command"} & set(done.stdout.splitlines()) == set()


async def stream(server: StdioServerParameters) -> tuple[list[str], str]:
    """The pieces of an answer as they come in, and the whole."""
    pieces: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        pieces.append(message or "")

    with anyio.fail_after(PATIENCE_S):
        async with Client(server) as client:
            result = await client.call_tool(
                "generate", {"prompt": "Once upon a time", "max_tokens": 8, "temperature": 0}, progress_callback=hear
            )
    assert result.structured_content is not None
    return pieces, result.structured_content["text"]


def test_the_entry_of_claude_desktop_starts_from_nothing_and_streams_tokens(
    tmp_path: Path, real_model_path: Path
) -> None:
    (tmp_path / "my models").mkdir()
    shutil.copy(real_model_path, tmp_path / "my models" / "tiny.gguf")
    line = [INSTALLED, "config", "claude-desktop", "--write", "--model", "my models/tiny.gguf", *SMALL]
    subprocess.run(line, capture_output=True, timeout=PATIENCE_S, check=True, cwd=tmp_path)
    (entry,) = json.loads(file_of("claude-desktop").read_bytes())["mcpServers"].values()
    assert entry["command"] == INSTALLED
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    bare = ["-i", "PATH=/usr/bin:/bin", f"HOME={elsewhere}", entry["command"], *entry["args"]]
    pieces, text = anyio.run(stream, StdioServerParameters(command="/usr/bin/env", args=bare, cwd=elsewhere))
    assert len([piece for piece in pieces if piece]) > 1
    assert "".join(pieces) == text
