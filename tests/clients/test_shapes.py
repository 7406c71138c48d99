"""Each client's entry, to the last key."""

import pytest

from mcp_llama.clients.catalog import CLIENTS
from mcp_llama.clients.server import Address, Launch
from mcp_llama.clients.shapes import Entry

LAUNCH = Launch(command="/bin/mcp-llama", args=("stdio", "--n-ctx", "64"), patience_s=700)
ADDRESS = Address(url="http://127.0.0.1:8080/mcp", patience_s=700)
START: Entry = {"command": "/bin/mcp-llama", "args": ["stdio", "--n-ctx", "64"]}
URL: Entry = {"url": "http://127.0.0.1:8080/mcp"}
GOOSE: Entry = {"enabled": True, "name": "n", "description": "A local llama.cpp model", "timeout": 700}

LAUNCHES: dict[str, Entry] = {
    "claude-desktop": START,
    "claude-code": {"type": "stdio", **START},
    "cursor": {"type": "stdio", **START},
    "vscode": {"type": "stdio", **START},
    "zed": {**START, "timeout": 700},
    "lm-studio": START,
    "codex": {**START, "startup_timeout_sec": 60, "tool_timeout_sec": 700},
    "gemini-cli": {**START, "timeout": 700_000},
    "cline": {"type": "stdio", **START, "timeout": 700},
    "windsurf": START,
    "continue": {"name": "n", "type": "stdio", **START, "connectionTimeout": 700_000},
    "goose": {**GOOSE, "type": "stdio", "cmd": START["command"], "args": START["args"]},
    "opencode": {
        "type": "local",
        "command": ["/bin/mcp-llama", "stdio", "--n-ctx", "64"],
        "enabled": True,
        "timeout": 700_000,
    },
    "json": START,
}
ADDRESSES: dict[str, Entry] = {
    "claude-code": {"type": "http", **URL, "timeout": 700_000},
    "cursor": URL,
    "vscode": {"type": "http", **URL},
    "zed": {**URL, "timeout": 700},
    "lm-studio": URL,
    "codex": {**URL, "tool_timeout_sec": 700},
    "gemini-cli": {"type": "http", **URL, "timeout": 700_000},
    "cline": {"type": "streamableHttp", **URL, "timeout": 700},
    "windsurf": {"serverUrl": URL["url"]},
    "continue": {"name": "n", "type": "streamable-http", **URL, "connectionTimeout": 700_000},
    "goose": {**GOOSE, "type": "streamable_http", "uri": URL["url"]},
    "opencode": {"type": "remote", **URL, "enabled": True, "timeout": 700_000},
    "json": {"type": "http", **URL},
}
CONTAINERS = {
    "vscode": "servers",
    "zed": "context_servers",
    "codex": "mcp_servers",
    "goose": "extensions",
    "opencode": "mcp",
}


@pytest.mark.parametrize("client", CLIENTS)
def test_the_entry_that_starts_a_server_is_what_the_client_reads(client: str) -> None:
    assert CLIENTS[client].launch("n", LAUNCH) == LAUNCHES[client]


@pytest.mark.parametrize("client", CLIENTS)
def test_the_entry_that_names_a_url_is_what_the_client_reads(client: str) -> None:
    shape = CLIENTS[client].address
    assert (None if shape is None else shape("n", ADDRESS)) == ADDRESSES.get(client)


@pytest.mark.parametrize("client", CLIENTS)
def test_the_entry_is_under_the_key_where_the_client_looks(client: str) -> None:
    assert CLIENTS[client].container == CONTAINERS.get(client, "mcpServers")
