"""Gate: lets a test stop and go the decodes of a FakeModel."""

import threading
from collections.abc import Callable

from anyio import to_thread

PATIENCE_S = 10.0
"""How long a test waits for the engine before it fails."""


class Gate:
    """While shut, holds the engine inside each decode until the test lets that decode go."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shut = False
        self._waiting = False
        self._permits = 0
        self._aborted: Callable[[], bool] = lambda: False

    def shut(self) -> None:
        """Hold every decode from now on."""
        with self._changed:
            self._shut = True

    def open(self) -> None:
        """Let the held decode and all later ones go."""
        with self._changed:
            self._shut = False
            self._permits = 0
            self._changed.notify_all()

    def step(self, decodes: int = 1) -> None:
        """Let so many decodes go, the held one first."""
        with self._changed:
            self._permits += decodes
            self._changed.notify_all()

    async def held(self) -> None:
        """Wait until a decode is held and all that were let go have passed."""
        await to_thread.run_sync(self._wait_until_held, abandon_on_cancel=True)

    def wake(self) -> None:
        """Look at the abort flag again."""
        with self._changed:
            self._changed.notify_all()

    def enter(self, aborted: Callable[[], bool]) -> None:
        """Wait, inside a decode, until it may go or is aborted. Engine thread."""
        with self._changed:
            self._waiting = True
            self._aborted = aborted
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._shut or self._permits > 0 or aborted())
            self._waiting = False
            if self._shut and self._permits and not aborted():
                self._permits -= 1

    def _wait_until_held(self) -> None:
        with self._changed:
            held = self._changed.wait_for(self._is_holding, PATIENCE_S)
        assert held, "no decode came to the gate"

    def _is_holding(self) -> bool:
        return self._waiting and self._shut and not self._permits and not self._aborted()
