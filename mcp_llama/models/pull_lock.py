"""The lock that two pulls of the same model share."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Generator[None]:
    """Hold the file `path` alone, on this machine; it is gone afterwards. `on_wait` is told if another one has it.

    Raises:
        OSError: it cannot be made or locked.
    """
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        # Windows removes no open file; there filelock itself does it.
        if sys.platform != "win32":
            path.unlink(missing_ok=True)
        lock.release()
