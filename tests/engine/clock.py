"""Clock: the time of an engine under test."""

import time


class Clock:
    """Stands in for the module `time`; it starts at the present and moves by hand."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        """The time that the test set."""
        return self.now

    def thread_time(self) -> float:
        """No CPU time passes."""
        return 0.0
