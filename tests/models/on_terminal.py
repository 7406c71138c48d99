"""The command `mcp-llama` on a terminal of its own."""

import os
import pty
import re
import subprocess

from tests.command import COMMAND, PATIENCE_S

_STYLE = re.compile(r"\x1b\[[\d;]*m")


def run_on_terminal(*arguments: str, typed: str = "") -> tuple[int, str]:
    """Run a command line; its exit status and the text that the terminal shows, what was typed among it."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, typed.encode())
        environment = {**os.environ, "TERM": "xterm"}
        child = subprocess.Popen([*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
        return child.wait(PATIENCE_S), _STYLE.sub("", shown.decode()).replace("\r\n", "\n")
    finally:
        os.close(ours)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        # What Linux says when the last process has closed the terminal.
        return b""
