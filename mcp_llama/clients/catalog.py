"""The clients that are known: where their files are, in which language, and what an entry looks like."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from mcp_llama.clients import paths, shapes
from mcp_llama.clients.place import Place
from mcp_llama.clients.shapes import AddressShape, LaunchShape

Language = Literal["json", "jsonc", "toml", "yaml"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An MCP client.

    `files` are those that it may have, the usual one first. `outranked` is the file beside it that a new one would put
    out of force. `next_step` is what a person does once the entry is there. Without `address` it takes no URL.
    """

    title: str
    files: Callable[[Place], tuple[PurePath, ...]]
    language: Language = "jsonc"
    container: str = "mcpServers"
    listed: bool = False
    preamble: str = ""
    outranked: str | None = None
    launch: LaunchShape = shapes.plain
    address: AddressShape | None = shapes.plain_url
    next_step: str

    def file(self, place: Place) -> Path | None:
        """The first of its files that is there, else the usual one; None if it has none."""
        found = [Path(path) for path in self.files(place)]
        return next((path for path in found if path.exists()), found[0] if found else None)


CLIENTS: dict[str, Client] = {
    "claude-desktop": Client(
        title="Claude Desktop",
        files=paths.claude_desktop,
        language="json",
        address=None,
        next_step="restart Claude Desktop",
    ),
    "claude-code": Client(
        title="Claude Code",
        files=paths.claude_code,
        language="json",
        launch=shapes.typed,
        address=shapes.timed_url,
        next_step="start a new session and look at /mcp",
    ),
    "cursor": Client(
        title="Cursor",
        files=paths.cursor,
        launch=shapes.typed,
        next_step="switch it on under Settings, MCP",
    ),
    "vscode": Client(
        title="VS Code",
        files=paths.vscode,
        container="servers",
        launch=shapes.typed,
        address=shapes.typed_url,
        next_step="run 'MCP: List Servers' in VS Code and start it",
    ),
    "zed": Client(
        title="Zed",
        files=paths.zed,
        container="context_servers",
        launch=shapes.timed,
        address=shapes.zed_url,
        next_step="look for its green dot in the settings of the agent panel",
    ),
    "lm-studio": Client(
        title="LM Studio",
        files=paths.lm_studio,
        next_step="switch it on under Program in LM Studio",
    ),
    "codex": Client(
        title="Codex",
        files=paths.codex,
        language="toml",
        container="mcp_servers",
        launch=shapes.codex,
        address=shapes.codex_url,
        next_step="start a new session and look at /mcp",
    ),
    "gemini-cli": Client(
        title="Gemini CLI",
        files=paths.gemini_cli,
        launch=shapes.gemini,
        address=shapes.timed_url,
        next_step="start a new session in a folder that you trust and look at /mcp",
    ),
    "cline": Client(
        title="Cline",
        files=paths.cline,
        language="json",
        launch=shapes.cline,
        address=shapes.cline_url,
        next_step="look for it under MCP Servers",
    ),
    "windsurf": Client(
        title="Windsurf",
        files=paths.windsurf,
        address=shapes.windsurf_url,
        next_step="refresh the MCP servers of Cascade",
    ),
    "continue": Client(
        title="Continue",
        files=paths.continue_,
        language="yaml",
        listed=True,
        preamble="name: Local Config\nversion: 1.0.0\nschema: v1\n",
        outranked="config.json",
        launch=shapes.continue_,
        address=shapes.continue_url,
        next_step="reload the window of the editor",
    ),
    "goose": Client(
        title="goose",
        files=paths.goose,
        language="yaml",
        container="extensions",
        launch=shapes.goose,
        address=shapes.goose_url,
        next_step="start a new session",
    ),
    "opencode": Client(
        title="OpenCode",
        files=paths.opencode,
        container="mcp",
        launch=shapes.opencode,
        address=shapes.opencode_url,
        next_step="start OpenCode again",
    ),
    "json": Client(
        title="any other client",
        files=paths.nowhere,
        language="json",
        address=shapes.typed_url,
        next_step="restart the client",
    ),
}
"""By the names that the command line knows them by."""
