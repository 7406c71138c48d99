"""Plot: throughput and latency against the number of streams, as a picture. Needs matplotlib, which is an extra."""

# pyright: reportUnknownMemberType=false
# matplotlib types its keyword arguments as unknown.

import importlib.util
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_llama.bench.record import RAW, Report, Workload
from mcp_llama.bench.summary import Row
from mcp_llama.bench.table import TITLES
from mcp_llama.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".pdf", ".png", ".svg")
INSTALL = 'pip install "mcp-llama[plot]"'

_INK, _QUIET, _RULE = "#1f2328", "#656d76", "#d8dee4"
_SHIFT = 0.04
_COLOURS = ("#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#8C6D1F", "#7A5195")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Inter", "Helvetica Neue", "Arial", "DejaVu Sans"],
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _QUIET,
    "xtick.color": _QUIET,
    "ytick.color": _QUIET,
    "svg.hashsalt": "mcp-llama",
}

_Value = tuple[float, float, float]
"""A value with the ends of its whisker."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One target: its rows by rising number of streams, and how it is drawn. `shift` keeps whiskers apart."""

    name: str
    rows: tuple[Row, ...]
    colour: str
    marker: str
    shift: float

    @property
    def streams(self) -> list[int]:
        return [row.streams for row in self.rows]


def check_plot(path: Path) -> None:
    """Refuse a picture that could not be drawn at the end.

    Raises:
        ConfigError: its suffix is unknown, its folder is not there, or matplotlib is missing.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"plot is {str(path)!r}, whose suffix is unknown. Known: {', '.join(SUFFIXES)}.")
    if not path.parent.is_dir():
        raise ConfigError(f"plot is {str(path)!r}, but there is no folder {str(path.parent)!r}.")
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(f"plot needs matplotlib. Install it: {INSTALL}")


def draw(path: Path, report: Report, rows: Sequence[Row]) -> None:
    """Draw the workload that ran with the most different numbers of streams."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        _figure(report, rows).savefig(path, dpi=200, facecolor="white")


def _figure(report: Report, rows: Sequence[Row]) -> "Figure":
    from matplotlib.figure import Figure

    workload = _widest(rows)
    lines = _lines([row for row in rows if row.workload == workload])
    figure = Figure(figsize=(10, 4.6))
    throughput, latency = figure.subplots(1, 2)
    for line in lines:
        _draw_throughput(throughput, line)
        _draw_latency(latency, line)
    _finish(throughput, lines, "Throughput", "tok/s, all streams together; whiskers: the slowest and the fastest round")
    throughput.set_ylim(bottom=0)
    _finish(latency, lines, "Inter-token latency", "ms, median; whiskers up to p95")
    if any(row.itl for line in lines for row in line.rows):
        _make_logarithmic(latency)
    _caption(figure, report, workload, lines)
    figure.subplots_adjust(left=0.05, right=0.985, top=0.715, bottom=0.115, wspace=0.13)
    return figure


def _widest(rows: Sequence[Row]) -> Workload:
    widths: dict[Workload, set[int]] = {}
    for row in rows:
        widths.setdefault(row.workload, set()).add(row.streams)
    return max(widths, key=lambda workload: len(widths[workload]))


def _lines(rows: Sequence[Row]) -> list[_Line]:
    """The raw loop is grey and dashed: it is the limit, not a choice."""
    names = list(dict.fromkeys(row.target for row in rows))
    looks = itertools.cycle(zip(_COLOURS, _MARKERS, strict=True))
    lines: list[_Line] = []
    for place, name in enumerate(names):
        colour, marker = (_QUIET, "") if name == RAW else next(looks)
        own = tuple(sorted((row for row in rows if row.target == name), key=lambda row: row.streams))
        lines.append(_Line(name, own, colour, marker, shift=_SHIFT * (place - (len(names) - 1) / 2)))
    return lines


def _draw_throughput(axes: "Axes", line: _Line) -> None:
    rates = [(row.rate.median, row.rate.low, row.rate.high) for row in line.rows]
    _plot(axes, line, line.streams, rates)


def _draw_latency(axes: "Axes", line: _Line) -> None:
    known = [(row.streams, row.itl) for row in line.rows if row.itl is not None]
    gaps = [(itl.p50 * 1000, itl.p50 * 1000, itl.p95 * 1000) for _, itl in known]
    _plot(axes, line, [streams for streams, _ in known], gaps)


def _plot(axes: "Axes", line: _Line, streams: Sequence[int], values: Sequence[_Value]) -> None:
    """A line through the values, and a whisker from the lower to the upper end of each."""
    places = [count * 2**line.shift for count in streams]
    axes.vlines(places, [low for _, low, _ in values], [high for _, _, high in values], line.colour, linewidth=1.4)
    axes.plot(
        places,
        [value for value, _, _ in values],
        label=line.name,
        color=line.colour,
        marker=line.marker,
        markersize=5,
        linewidth=1.6,
        linestyle="--" if line.name == RAW else "-",
    )


def _finish(axes: "Axes", lines: Sequence[_Line], title: str, unit: str) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.set_xscale("log", base=2)
    counts = sorted({count for line in lines for count in line.streams})
    axes.xaxis.set_major_locator(FixedLocator(counts))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_xlabel("streams at once")
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=22)
    axes.text(0, 1.03, unit, transform=axes.transAxes, color=_QUIET, fontsize=9)
    axes.grid(axis="y", color=_RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _make_logarithmic(axes: "Axes") -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def _caption(figure: "Figure", report: Report, workload: Workload, lines: Sequence[_Line]) -> None:
    machine = report.machine
    figure.text(0.012, 0.95, f"{report.subject.model} on {machine.cpu}, {machine.cores} cores", fontsize=13)
    rounds = max(row.rounds for line in lines for row in line.rows)
    figure.text(
        0.012, 0.905, f"{TITLES[workload]}, {'1 round' if rounds == 1 else f'median of {rounds} rounds'}", color=_QUIET
    )
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        loc="upper right",
        bbox_to_anchor=(0.99, 0.935),
        ncols=len(lines),
        frameon=False,
        handlelength=1.8,
        columnspacing=1.4,
    )
