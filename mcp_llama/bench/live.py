"""Live: how far a run is, on stderr: a bar on a terminal, elsewhere a line for each turn that ended."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mcp_llama.bench.event import Event, Turn


class Live:
    """Shows events; a context manager, because the bar goes when the run is over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (MofNCompleteColumn(), BarColumn(30), TimeRemainingColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        """Show one event. A failure stays to be read, also on a terminal."""
        if event.begins:
            description = escape(_name(event.turn))
            self._bar.update(self._task, completed=event.done, total=event.total, description=description)
            return
        self._bar.update(self._task, completed=event.done, total=event.total)
        if event.failure is not None or not self._console.is_terminal:
            self._console.print(_line(event), markup=False, highlight=False, soft_wrap=True)


def _line(event: Event) -> str:
    width = len(str(event.total))
    return f"[{event.done:>{width}}/{event.total}] {_name(event.turn)}: {_outcome(event)}"


def _outcome(event: Event) -> str:
    if event.measurement is None:
        return f"failed: {event.failure}"
    return f"{event.measurement.rate:.1f} tok/s"


def _name(turn: Turn) -> str:
    streams = "1 stream" if turn.streams == 1 else f"{turn.streams} streams"
    return f"round {turn.round}, {turn.workload}, {streams}, {turn.target}"
