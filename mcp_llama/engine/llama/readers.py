"""Readers: threads that use a thing now, and the one that waits for them before it frees the thing. Any thread."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from mcp_llama.errors import EngineError


class Readers:
    """Lets any number of readers in, until it is closed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._closed = False

    @contextmanager
    def reading(self) -> Generator[None]:
        """Keep the thing for the time of the body.

        Raises:
            EngineError: it has been closed.
        """
        with self._changed:
            if self._closed:
                raise EngineError("The model has been closed.")
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more, and wait until the last one has left."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._count == 0)
