"""TOML. An entry is a table; what stands before, between and behind the tables keeps every byte.

tomlkit writes the table but does not edit the file: where it replaces a table, it drops the comments above the next.
"""

import re
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import tomlkit

from mcp_llama.clients.failure import MergeError
from mcp_llama.clients.shapes import Entry
from mcp_llama.clients.target import Target, check, newline_of, put, same


@dataclass(frozen=True, slots=True)
class Table:
    """The lines of a table, from its header to its last value: [first, last)."""

    path: tuple[str, ...]
    first: int
    last: int


class TomlFormat:
    """TOML with one table for each entry."""

    def render(self, target: Target, entry: Entry) -> str:
        """A document with nothing but the entry."""
        return tomlkit.dumps({target.container: {target.name: entry}})

    def merge(self, text: str, target: Target, entry: Entry) -> str:
        """The text with the entry."""
        data = _load(text)
        expected = put(data, target, entry)
        if same(data, expected):
            return text
        newline = newline_of(text)
        table = self.render(target, entry).replace("\n", newline)
        lines = re.findall(r"[^\n]*\n|[^\n]+", text)
        own = [found for found in _tables(lines) if found.path[:2] == (target.container, target.name)]
        if own:
            merged = _replaced(lines, own, table)
        else:
            end = "" if not text or text.endswith("\n") else newline
            merged = f"{text}{end}{newline if text else ''}{table}"
        try:
            outcome = _load(merged)
        except MergeError:
            outcome = None
        check(outcome, expected)
        return merged


def _load(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MergeError(f"it is not TOML: {error}") from error


def _tables(lines: list[str]) -> list[Table]:
    """All tables that have a header, in the order of the text."""
    headers = [index for index, line in enumerate(lines) if line.lstrip(" \t").startswith("[") and _whole(lines, index)]
    return [
        Table(_path(lines[first]), first, _last(lines, first, following))
        for first, following in pairwise([*headers, len(lines)])
    ]


def _whole(lines: list[str], index: int) -> bool:
    """Whether no string and no array reaches into a line."""
    try:
        tomllib.loads("".join(lines[:index]))
    except tomllib.TOMLDecodeError:
        return False
    return True


def _path(header: str) -> tuple[str, ...]:
    keys: list[str] = []
    level: object = tomllib.loads(header)
    while level:
        # An item of an array of tables is in a list.
        table = cast(dict[str, object], cast(list[object], level)[0] if isinstance(level, list) else level)
        keys += table
        level = next(iter(table.values()), None)
    return tuple(keys)


def _last(lines: list[str], first: int, following: int) -> int:
    """The end of a table's own lines; comments behind them may be about the next table."""
    last = following
    while last > first + 1 and _idle(lines[last - 1]) and _whole(lines, last - 1):
        last -= 1
    return last


def _idle(line: str) -> bool:
    return not line.strip() or line.lstrip(" \t").startswith("#")


def _replaced(lines: list[str], own: list[Table], table: str) -> str:
    first = own[0].first
    dropped = {index for found in own for index in range(found.first, found.last)} - {first}
    kept = [table if index == first else line for index, line in enumerate(lines) if index not in dropped]
    return "".join(kept)
