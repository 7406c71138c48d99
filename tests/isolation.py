"""Keeps a test of the command line apart from this machine's user, and the other tests apart from it."""

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def isolation(monkeypatch: pytest.MonkeyPatch, home: Path) -> Generator[None]:
    """No options from the environment or from a user's file; logging as it was before."""
    for name in [name for name in os.environ if name.startswith(("MCP_LLAMA_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    # A wide terminal, so that argparse breaks no line that a test looks for.
    monkeypatch.setenv("COLUMNS", "200")
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    levels = [(logger, logger.level) for logger in loggers]
    handlers = list(logging.root.handlers)
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers
        for logger, level in levels:
            logger.setLevel(level)
