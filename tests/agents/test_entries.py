"""The entries that `mcp-llama config` writes, read by the agents themselves."""

import json
import re
from collections.abc import Callable

import pytest

from tests.agents.agent import CLAUDE_CODE, CODEX, GEMINI_CLI, LOCAL, OPENCODE, REMOTE, Agent, Kind

# The first test waits for all of them to be installed.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (CLAUDE_CODE, r"{name}: .*✔ Connected"),
        (GEMINI_CLI, r"✓ {name}: .*Connected"),
        (OPENCODE, r"✓ {name} +connected"),
    ],
    ids=["claude-code", "gemini-cli", "opencode"],
)
def test_an_agent_connects_to_both_servers(configured: Callable[[Kind], Agent], kind: Kind, line: str) -> None:
    done = configured(kind).run("mcp", "list")
    for name in (LOCAL, REMOTE):
        assert re.search(line.format(name=name), done.out + done.err), done


def test_codex_reads_both_entries(configured: Callable[[Kind], Agent]) -> None:
    done = configured(CODEX).run("mcp", "list", "--json")
    servers = {server["name"]: server for server in json.loads(done.out)}
    assert servers[LOCAL]["transport"]["type"] == "stdio"
    assert servers[REMOTE]["transport"]["type"] == "streamable_http"
    assert [servers[name]["enabled"] for name in (LOCAL, REMOTE)] == [True, True]
    assert all(servers[name]["tool_timeout_sec"] >= 600 for name in (LOCAL, REMOTE))
