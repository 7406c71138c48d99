"""The bounds of the queue: how many requests and prompt tokens may wait. Any thread."""

import threading

from mcp_llama.errors import BusyError


class QueueBounds:
    """Counts what was submitted and not yet finished, and refuses what goes past the bounds.

    `max_requests` is what may wait beyond the slots; `max_tokens` bounds the prompts that wait for a slot,
    though one prompt may always wait, whatever its length.
    """

    def __init__(self, n_slots: int, max_requests: int, max_tokens: int) -> None:
        self._n_slots = n_slots
        self._max_requests = max_requests
        self._max_tokens = max_tokens
        self._lock = threading.Lock()
        self._requests = 0
        self._waiting_tokens = 0
        self._mean_s = 1.0

    def enter(self, tokens: int) -> None:
        """Count a request with a prompt of so many tokens.

        Raises:
            BusyError: a bound would be passed.
        """
        with self._lock:
            waiting = max(0, self._requests - self._n_slots)
            if self._requests >= self._n_slots + self._max_requests:
                raise BusyError(f"{waiting} requests are waiting already", self._estimate(waiting))
            if waiting and self._waiting_tokens + tokens > self._max_tokens:
                raise BusyError(f"{self._waiting_tokens:,} prompt tokens are waiting already", self._estimate(waiting))
            self._requests += 1
            self._waiting_tokens += tokens

    def admitted(self, tokens: int) -> None:
        """A request got its slot."""
        with self._lock:
            self._waiting_tokens -= tokens

    def leave(self, seconds: float) -> None:
        """A request ended so many seconds after it came."""
        with self._lock:
            self._requests -= 1
            self._mean_s += 0.1 * (seconds - self._mean_s)

    def _estimate(self, waiting: int) -> float:
        return max(1.0, self._mean_s * (waiting + 1) / self._n_slots)
