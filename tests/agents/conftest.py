import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agents.agent import Agent, Kind
from tests.command import COMMAND, SMALL
from tests.node.node import installed

_PACKAGES = Path(__file__).with_name("package.json")


@pytest.fixture(scope="session")
def modules() -> Path:
    """Where the agents are installed."""
    try:
        return installed(_PACKAGES)
    except AssertionError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The MCP URL of a server that runs."""
    command = [*COMMAND, "serve", "--port", "0", "--log-level", "warning", *SMALL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield next(line.split()[-1] for line in server.stdout if "/mcp" in line)
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def configured(modules: Path, url: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], Agent]:
    """Makes an agent whose file has the entries of `mcp-llama config`."""
    agents: dict[str, Agent] = {}

    def make(kind: Kind) -> Agent:
        if kind.client not in agents:
            # The last one that fits is the one for any processor.
            program = max(modules.glob(kind.program), default=None)
            if program is None:
                pytest.skip(f"{kind.client} has no program for this system")
            agents[kind.client] = Agent(kind, program, tmp_path_factory.mktemp(kind.client))
            agents[kind.client].configure(url)
        return agents[kind.client]

    return make
