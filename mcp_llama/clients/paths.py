"""The files in which clients look for servers: for each client those that it may have, the usual one first.

From the documentation and sources of the clients, read in November 2026.
"""

from pathlib import PurePath

from mcp_llama.clients.place import Place

# The family name that Windows gives to the packaged Claude Desktop, whose files it keeps apart.
_CLAUDE_PACKAGE = "Claude_pzs8sxrjxfjjc"


def claude_desktop(place: Place) -> tuple[PurePath, ...]:
    """Of Claude Desktop; the packaged one of Windows has a folder of its own."""
    usual = place.app_data() / "Claude" / "claude_desktop_config.json"
    if place.platform != "win32":
        return (usual,)
    package = place.local_app_data() / "Packages" / _CLAUDE_PACKAGE / "LocalCache" / "Roaming"
    return usual, package / "Claude" / "claude_desktop_config.json"


def claude_code(place: Place) -> tuple[PurePath, ...]:
    """Of the user: a project's .mcp.json is shared, and paths of this machine mean nothing on another."""
    return ((place.named("CLAUDE_CONFIG_DIR") or place.home) / ".claude.json",)


def cursor(place: Place) -> tuple[PurePath, ...]:
    """Of all projects."""
    return (place.home / ".cursor" / "mcp.json",)


def vscode(place: Place) -> tuple[PurePath, ...]:
    """Of the default profile."""
    return (place.app_data() / "Code" / "User" / "mcp.json",)


def zed(place: Place) -> tuple[PurePath, ...]:
    """Of Zed, which follows XDG on Linux only."""
    if place.platform == "win32":
        folder = place.app_data() / "Zed"
    elif place.platform == "darwin":
        folder = place.home / ".config" / "zed"
    else:
        folder = (place.named("FLATPAK_XDG_CONFIG_HOME") or place.dot_config()) / "zed"
    return (folder / "settings.json",)


def lm_studio(place: Place) -> tuple[PurePath, ...]:
    """Of LM Studio; older installations keep theirs in a cache folder."""
    return place.home / ".lmstudio" / "mcp.json", place.home / ".cache" / "lm-studio" / "mcp.json"


def codex(place: Place) -> tuple[PurePath, ...]:
    """Of the user."""
    return ((place.named("CODEX_HOME") or place.home / ".codex") / "config.toml",)


def gemini_cli(place: Place) -> tuple[PurePath, ...]:
    """Of the user."""
    return ((place.named("GEMINI_CLI_HOME") or place.home) / ".gemini" / "settings.json",)


def cline(place: Place) -> tuple[PurePath, ...]:
    """Of the command line and the extensions alike; before 2026 the extension of VS Code had its own."""
    named = place.named("CLINE_MCP_SETTINGS_PATH")
    if named is not None:
        return (named,)
    name = "cline_mcp_settings.json"
    folder = place.named("CLINE_DATA_DIR") or (place.named("CLINE_DIR") or place.home / ".cline") / "data"
    storage = place.app_data() / "Code" / "User" / "globalStorage" / "saoudrizwan.claude-dev"
    return folder / "settings" / name, storage / "settings" / name


def windsurf(place: Place) -> tuple[PurePath, ...]:
    """Of the user."""
    return (place.home / ".codeium" / "windsurf" / "mcp_config.json",)


def continue_(place: Place) -> tuple[PurePath, ...]:
    """Of the user."""
    return ((place.named("CONTINUE_GLOBAL_DIR") or place.home / ".continue") / "config.yaml",)


def goose(place: Place) -> tuple[PurePath, ...]:
    """Of the user; macOS as Linux."""
    if place.platform == "win32":
        return (place.app_data() / "Block" / "goose" / "config" / "config.yaml",)
    return (place.dot_config() / "goose" / "config.yaml",)


def opencode(place: Place) -> tuple[PurePath, ...]:
    """Of the user, on every system in the same folder."""
    folder = place.dot_config() / "opencode"
    return folder / "opencode.json", folder / "opencode.jsonc"


def nowhere(place: Place) -> tuple[PurePath, ...]:
    """For an entry that belongs to no client in particular."""
    return ()
