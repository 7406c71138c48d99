"""Each client's file, on each system."""

from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest

from mcp_llama.clients.catalog import CLIENTS
from mcp_llama.clients.place import Place, this_place

LINUX = Place(platform="linux", home=PurePosixPath("/home/ann"), env={})
MACOS = Place(platform="darwin", home=PurePosixPath("/Users/ann"), env={})
WINDOWS = Place(
    platform="win32",
    home=PureWindowsPath(r"C:\Users\ann"),
    env={"APPDATA": r"D:\Roaming", "LOCALAPPDATA": r"D:\Local"},
)

# For each client the file on Linux, macOS and Windows; under ~ unless it begins otherwise.
FILES = {
    "claude-desktop": (
        ".config/Claude/claude_desktop_config.json",
        "Library/Application Support/Claude/claude_desktop_config.json",
        r"D:\Roaming\Claude\claude_desktop_config.json",
    ),
    "claude-code": (".claude.json",) * 3,
    "cursor": (".cursor/mcp.json",) * 3,
    "vscode": (
        ".config/Code/User/mcp.json",
        "Library/Application Support/Code/User/mcp.json",
        r"D:\Roaming\Code\User\mcp.json",
    ),
    "zed": (".config/zed/settings.json", ".config/zed/settings.json", r"D:\Roaming\Zed\settings.json"),
    "lm-studio": (".lmstudio/mcp.json",) * 3,
    "codex": (".codex/config.toml",) * 3,
    "gemini-cli": (".gemini/settings.json",) * 3,
    "cline": (".cline/data/settings/cline_mcp_settings.json",) * 3,
    "windsurf": (".codeium/windsurf/mcp_config.json",) * 3,
    "continue": (".continue/config.yaml",) * 3,
    "goose": (
        ".config/goose/config.yaml",
        ".config/goose/config.yaml",
        r"D:\Roaming\Block\goose\config\config.yaml",
    ),
    "opencode": (".config/opencode/opencode.json",) * 3,
}

# Variables by which a person moves the folders of a client.
MOVED = [
    ("claude-desktop", {"XDG_CONFIG_HOME": "/x"}, "/x/Claude/claude_desktop_config.json"),
    ("claude-code", {"CLAUDE_CONFIG_DIR": "/x"}, "/x/.claude.json"),
    ("vscode", {"XDG_CONFIG_HOME": "/x"}, "/x/Code/User/mcp.json"),
    ("zed", {"XDG_CONFIG_HOME": "/x"}, "/x/zed/settings.json"),
    ("zed", {"XDG_CONFIG_HOME": "/x", "FLATPAK_XDG_CONFIG_HOME": "/y"}, "/y/zed/settings.json"),
    ("codex", {"CODEX_HOME": "/x"}, "/x/config.toml"),
    ("codex", {"CODEX_HOME": " "}, "/home/ann/.codex/config.toml"),
    ("gemini-cli", {"GEMINI_CLI_HOME": "/x"}, "/x/.gemini/settings.json"),
    ("cline", {"CLINE_DIR": "/x"}, "/x/data/settings/cline_mcp_settings.json"),
    ("cline", {"CLINE_DIR": "/x", "CLINE_DATA_DIR": "/y"}, "/y/settings/cline_mcp_settings.json"),
    ("cline", {"CLINE_DATA_DIR": "/y", "CLINE_MCP_SETTINGS_PATH": "/z.json"}, "/z.json"),
    ("continue", {"CONTINUE_GLOBAL_DIR": "/x"}, "/x/config.yaml"),
    ("goose", {"XDG_CONFIG_HOME": "/x"}, "/x/goose/config.yaml"),
    ("opencode", {"XDG_CONFIG_HOME": "/x"}, "/x/opencode/opencode.json"),
]

# Files that a client reads where its usual one is missing.
OTHERS = [
    ("linux", "cline", ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"),
    ("linux", "lm-studio", ".cache/lm-studio/mcp.json"),
    ("linux", "opencode", ".config/opencode/opencode.jsonc"),
    (
        "win32",
        "claude-desktop",
        "AppData/Local/Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming/Claude/claude_desktop_config.json",
    ),
]


def usual(client: str, place: Place) -> PurePath:
    return CLIENTS[client].files(place)[0]


def test_every_client_has_a_line_here() -> None:
    assert {*FILES, "json"} == set(CLIENTS)


@pytest.mark.parametrize("client", FILES)
@pytest.mark.parametrize("system", [0, 1, 2], ids=["linux", "macos", "windows"])
def test_a_client_has_its_file_where_it_looks_for_it(client: str, system: int) -> None:
    place = (LINUX, MACOS, WINDOWS)[system]
    assert usual(client, place) == place.home / FILES[client][system]


@pytest.mark.parametrize(("client", "env", "file"), MOVED)
def test_a_variable_moves_the_file(client: str, env: dict[str, str], file: str) -> None:
    assert usual(client, Place(platform="linux", home=LINUX.home, env=env)) == PurePosixPath(file)


def test_windows_without_its_variables_is_found_from_the_home_folder() -> None:
    bare = Place(platform="win32", home=WINDOWS.home, env={})
    assert CLIENTS["claude-desktop"].files(bare) == (
        PureWindowsPath(r"C:\Users\ann\AppData\Roaming\Claude\claude_desktop_config.json"),
        WINDOWS.home / OTHERS[-1][2],
    )


def test_the_packaged_claude_desktop_has_its_file_where_windows_keeps_packages() -> None:
    package = PureWindowsPath(r"D:\Local\Packages\Claude_pzs8sxrjxfjjc\LocalCache\Roaming\Claude")
    assert CLIENTS["claude-desktop"].files(WINDOWS)[1] == package / "claude_desktop_config.json"


def test_macos_does_not_take_variables_that_belong_to_linux() -> None:
    moved = Place(platform="darwin", home=MACOS.home, env={"XDG_CONFIG_HOME": "/x"})
    for client in ("claude-desktop", "vscode", "zed"):
        assert usual(client, moved) == usual(client, MACOS)


@pytest.mark.parametrize(("platform", "client", "other"), OTHERS)
def test_another_file_counts_only_while_the_usual_one_is_missing(
    platform: str, client: str, other: str, tmp_path: Path
) -> None:
    place = Place(platform=platform, home=tmp_path, env={})
    assert CLIENTS[client].file(place) == usual(client, place)
    found = tmp_path / other
    found.parent.mkdir(parents=True)
    found.touch()
    assert CLIENTS[client].file(place) == found
    first = Path(usual(client, place))
    first.parent.mkdir(parents=True, exist_ok=True)
    first.touch()
    assert CLIENTS[client].file(place) == first


def test_this_place_is_the_home_of_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert CLIENTS["claude-code"].file(this_place()) == tmp_path / ".claude.json"
