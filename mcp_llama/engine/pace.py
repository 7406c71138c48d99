"""Pace: how many prompt rows a step may take, by how long steps take. Engine thread only."""

_FIRST_ROWS = 32
_MIN_ROWS = 16
_MOST_TARGETS = 4.0
_CLOCK_TICK = 1e-6
_NEWS = 0.5
"""The weight of the last step in what is known of all."""


class Pace:
    """Keeps what prompts add to a step in which others wait for their next token near a target time, in seconds.

    The time of a row falls with the rows of a step and grows with what they attend to. It is learnt from each step
    that holds prompt rows, so that the next one comes closer to the target.
    """

    def __init__(self, step_target: float) -> None:
        self._step_target = step_target
        self._row_s: float | None = None

    def prompt_rows(self, caught_up: int, behind: int = 1) -> int:
        """The prompt rows of a step in which so many sequences have a row each; never none, lest prompts starve.

        Where more wait for their first token than for the next one, they get up to four times the target: longer
        steps take less time for a row.
        """
        if self._row_s is None:
            return _FIRST_ROWS
        target = self._step_target * min(_MOST_TARGETS, max(1.0, behind / max(1, caught_up)))
        return max(_MIN_ROWS, caught_up, int(target / self._row_s))

    def note(self, rows: int, prompt_rows: int, seconds: float) -> None:
        """A step of so many rows, some of them prompt tokens, took so long."""
        if prompt_rows < _MIN_ROWS:
            return
        row_s = max(seconds, _CLOCK_TICK) / rows
        self._row_s = row_s if self._row_s is None else self._row_s + _NEWS * (row_s - self._row_s)
