"""The examples for agent frameworks, each in an environment of its own that uv makes of the packages it names."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "frameworks"
INSTALL_S = 90
PATIENCE_S = 60

_NO_NETWORK = 2
"""The exit code of uv where it cannot reach the packages; those that contradict each other are 1."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What an example printed, and how much of it could be read at first."""

    first: str
    out: str
    err: str
    status: int


def uv() -> str:
    """The command uv; without it the test is skipped."""
    found = os.environ.get("UV") or shutil.which("uv")
    if found is None:
        pytest.skip("there is no uv here")
    return found


@cache
def installed(name: str) -> Path:
    """The path of an example whose packages are there; without network the test is skipped."""
    path = FOLDER / f"{name}.py"
    command = [uv(), "sync", "--quiet", "--script", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    if done.returncode == _NO_NETWORK:
        pytest.skip(f"uv cannot install: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return path


def run(name: str, *arguments: str) -> Heard:
    """Run an example as its first lines say."""
    command = [uv(), "run", "--quiet", str(installed(name)), *arguments]
    # With PYTHONUNBUFFERED, Python would flush what an example does not.
    plain = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    with subprocess.Popen(command, cwd=ROOT, env=plain, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            first = os.read(process.stdout.fileno(), 1 << 16)
            rest, err = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    return Heard(first.decode(), (first + rest).decode(), err.decode(), process.returncode)
