"""The command `mcp-llama`, in this process and in one of its own."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from mcp_llama.cli import run

COMMAND = (sys.executable, "-m", "mcp_llama")
PATIENCE_S = 60

SMALL = ("--n-ctx", "256", "--n-slots", "1", "--n-threads", "1")
"""Options that make the embedded model cheap to load, on a machine that does other things too."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str

    def problem(self, status: int) -> str:
        """The one line that tells what was wrong, if that is all the command said and `status` is how it ended."""
        assert (self.status, self.out) == (status, ""), self
        (line,) = self.err.splitlines()
        assert line.startswith("mcp-llama"), self
        return line


def run_here(capsys: pytest.CaptureFixture[str], *arguments: str) -> Outcome:
    """Run a command line in this process."""
    capsys.readouterr()
    try:
        status = run(list(arguments))
    except SystemExit as end:
        status = int(end.code or 0)
    said = capsys.readouterr()
    return Outcome(status, said.out, said.err)


def run_apart(*arguments: str, stdin: str = "") -> Outcome:
    """Run a command line in a process of its own."""
    command = [*COMMAND, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


@contextmanager
def served(*arguments: str) -> Generator[str]:
    """The base URL of `mcp-llama serve` in a process of its own."""
    command = [*COMMAND, "serve", "--port", "0", "--log-level", "warning", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield next(line.split()[-1] for line in server.stdout if "/mcp" in line).removesuffix("/mcp")
        finally:
            server.terminate()
