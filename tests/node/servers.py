"""Servers that a session's clients share, as people start them."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.command import COMMAND

ROOM = ("--n-ctx", "8192", "--n-slots", "1", "--n-threads", "1", "--log-level", "warning")
"""One slot, and room in it for a call that outlasts every test: whoever waits for it notices that it goes on."""

STDIO = [*COMMAND, "stdio", *ROOM]
FIXTURES = (sys.executable, "-m", "tests.node.conformance.server")


@contextmanager
def listening(*command: str) -> Generator[str]:
    """The base URL of the server that a command starts."""
    line = [*command, "serve", "--port", "0", *ROOM]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield next(line.split()[-1].removesuffix("/mcp") for line in server.stdout if "/mcp" in line)
        finally:
            server.terminate()


def counters(url: str) -> dict[str, float]:
    """The metrics of a server's one model that have no other label."""
    families = text_string_to_metric_families(httpx2.get(f"{url}/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return {sample.name: sample.value for sample in samples if sample.labels.keys() <= {"model"}}
