"""PullView: how far a download is, on stderr: a bar on a terminal, elsewhere a line now and then."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mcp_llama.models.repo import size_text

Report = Callable[[int], None]
"""Takes how many bytes are there."""

_LINE_EVERY_SHARE = 0.1
_LINE_EVERY_S = 30.0
_LINES_APART_S = 2.0


class PullView:
    """Tells people what happens."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        """Tell something that stays to be read."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, what: str, total: int, done: int) -> Generator[Report]:
        """Something that goes through `total` bytes, of which `done` are there; what it yields is told how many are."""
        if not self._console.is_terminal:
            lines = _Lines(self.say, what, total, done)
            lines.begin()
            yield lines.report
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(30),
            DownloadColumn(binary_units=True),
            _Speed(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True, get_time=time.monotonic) as bar:
            task = bar.add_task(escape(what), total=total, completed=done)
            yield lambda done: bar.update(task, completed=done)


class _Speed(ProgressColumn):
    """Bytes a second, in the units of the sizes."""

    def render(self, task: Task) -> Text:
        return Text(f"{size_text(round(task.speed))}/s" if task.speed else "", style="progress.data.speed")


class _Lines:
    """A line for each tenth of the bytes; fewer while they are fast, and one at times while they are slow."""

    def __init__(self, say: Callable[[str], None], what: str, total: int, done: int) -> None:
        self._say = say
        self._what = what
        self._total = total
        self._first = self._told = done
        self._began = self._told_at = time.monotonic()

    def begin(self) -> None:
        """Tell what begins."""
        so_far = f", {size_text(self._first)} are there already" if self._first else ""
        self._say(f"{self._what}: {size_text(self._total)}{so_far}")

    def report(self, done: int) -> None:
        """Take how many bytes are there, and tell it if that is due."""
        now = time.monotonic()
        if done < self._told:
            # The hub began anew.
            self._first = self._told = done
            self._began = self._told_at = now
        silent_s = now - self._told_at
        is_much = done - self._told >= self._total * _LINE_EVERY_SHARE
        is_due = silent_s >= _LINE_EVERY_S or (is_much and silent_s >= _LINES_APART_S)
        if not is_due or done == self._total:
            return
        self._told, self._told_at = done, now
        rate = (done - self._first) / max(now - self._began, 1e-3)
        share = f"{done / self._total:.0%} of {size_text(self._total)}"
        self._say(f"{self._what}: {share}, {size_text(round(rate))}/s, {_span((self._total - done) / rate)} left")


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
