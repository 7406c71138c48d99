"""What a command tells its user beside its outcome."""

import sys


def note(text: str) -> None:
    """A line on stderr."""
    sys.stderr.write(f"{text}\n")
