"""Grid: columns of text that line up, and lines that break at a width."""

import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: two lines of heading over its cells. Numbers stand at its right."""

    heading: tuple[str, str]
    cells: tuple[str, ...]
    left: bool = False

    @property
    def width(self) -> int:
        """The width of its widest line."""
        return max(len(text) for text in (*self.heading, *self.cells))

    def lines(self) -> tuple[str, ...]:
        """Its lines from top to bottom, all of one width."""
        texts = (*self.heading, *self.cells)
        return tuple(text.ljust(self.width) if self.left else text.rjust(self.width) for text in texts)


def lay_out(columns: Sequence[Column]) -> list[str]:
    """The lines of the columns that have any cell with text; the gaps are narrow where wide ones do not fit."""
    filled = [column for column in columns if any(column.cells)]
    wide = sum(column.width for column in filled) + 2 * len(filled)
    gap = "  " if wide <= WIDTH else " "
    return [gap.join(parts).rstrip() for parts in zip(*(column.lines() for column in filled), strict=True)]


def paragraph(text: str, indent: str = "") -> list[str]:
    """A text in lines that fit; those after the first begin with the indent."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False) or [""]


def shell_lines(words: Sequence[str]) -> list[str]:
    """A command in lines that fit and that a shell reads as one."""
    lines = textwrap.wrap(
        " ".join(shlex.quote(word).replace(" ", "\0") for word in words), WIDTH - 4, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return [
        f"  {line} \\" if number < len(lines) else f"  {line}"
        for number, line in enumerate((line.replace("\0", " ") for line in lines), 1)
    ]
