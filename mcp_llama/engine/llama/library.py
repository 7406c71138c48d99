"""The shared library: start it, hear its log, ask what it was built for."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# llama_cpp's ctypes bindings carry few usable types.

import ctypes
import functools
import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import llama_cpp.llama_cpp as lib

from mcp_llama.engine.model import DecodeAbortedError, DecodeError

logger = logging.getLogger("llama.cpp")

_ERROR = 4
_NO_ROOM = 1
_ABORTED = 2

_errors: list[str] = []
_listeners: list[tuple[int, list[str]]] = []


@functools.cache
def start_library() -> None:
    """Initialise llama.cpp and route its log to logging, once."""
    lib.llama_log_set(_log, ctypes.c_void_p(None))
    lib.llama_backend_init()


def clear_errors() -> None:
    """Forget what `first_error` would tell."""
    _errors.clear()


def first_error() -> str:
    """The first error that llama.cpp logged since `clear_errors`; those that follow only say where it led."""
    return _errors[0] if _errors else "no reason given"


@contextmanager
def heard() -> Generator[list[str]]:
    """The lines that llama.cpp logs meanwhile on this thread; others may load another model."""
    lines: list[str] = []
    _listeners.append((threading.get_ident(), lines))
    try:
        yield lines
    finally:
        _listeners[:] = [other for other in _listeners if other[1] is not lines]


def check_status(status: int, rows: int) -> None:
    """Raise what a status of llama_decode says.

    Raises:
        DecodeAbortedError: the abort flag was set.
        DecodeError: it refused or failed.
    """
    if status == 0:
        return
    if status == _ABORTED:
        raise DecodeAbortedError
    reason = "the KV cache is full" if status == _NO_ROOM else f"llama_decode returned {status}"
    raise DecodeError(f"{reason} (batch of {rows} rows)")


def system_info() -> str:
    """What llama.cpp was built for and what it found, in its own words."""
    start_library()
    return lib.llama_print_system_info().decode().strip(" |\n")


def library_folder() -> Path:
    """Where llama.cpp's shared libraries are."""
    return Path(lib.__file__).parent / "lib"


@lib.llama_log_callback
def _log(level: int, text: bytes, _: object) -> None:
    line = text.decode("utf-8", "replace").strip()
    if level == _ERROR and not _errors:
        _errors.append(line)
    # Even its errors are for debugging only: an aborted decode is one, and a real one comes back as an exception.
    if line:
        logger.debug("%s", line)
        for thread, lines in _listeners:
            if thread == threading.get_ident():
                lines.append(line)
