"""JSON, with comments and trailing commas where a client allows them.

No library edits JSON with comments in Python without losing some of the text. So the standard parser reads a
copy in which comments are blank, every character in its place, and the entry is spliced into the original.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn, cast

from mcp_llama.clients.failure import MergeError
from mcp_llama.clients.shapes import Entry
from mcp_llama.clients.target import Target, check, newline_of, put, same

_SPACE = " \t\r\n"
_STRING = r'"(?:\\.|[^"\\])*"'
_COMMENT = re.compile(rf"{_STRING}|//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_TRAILING_COMMA = re.compile(rf"{_STRING}|,(?=[{_SPACE}]*[}}\]])", re.DOTALL)
_UNIT = re.compile(r'\n([ \t]+)"')


@dataclass(frozen=True, slots=True)
class Member:
    """A key and its value in an object, by their places in the text."""

    key: str
    start: int
    value: int
    end: int


class JsonFormat:
    """JSON; `comments` lets in comments and trailing commas."""

    def __init__(self, *, comments: bool) -> None:
        self._comments = comments

    def render(self, target: Target, entry: Entry) -> str:
        """A document with nothing but the entry."""
        return _dump({target.container: {target.name: entry}}) + "\n"

    def merge(self, text: str, target: Target, entry: Entry) -> str:
        """The text with the entry."""
        document = Document(text, comments=self._comments)
        if document.empty:
            newline = newline_of(text)
            gap = newline if text and not text.endswith("\n") else ""
            return text + gap + self.render(target, entry).replace("\n", newline)
        expected = put(document.data, target, entry)
        if same(document.data, expected):
            return text
        merged = document.with_entry(target, entry)
        check(Document(merged, comments=self._comments).data, expected)
        return merged


class Document:
    """A text, and copies of it as long as itself that a parser of plain JSON reads."""

    def __init__(self, text: str, *, comments: bool) -> None:
        self._text = text
        self._bare = _COMMENT.sub(_blank, text)
        self._plain = _TRAILING_COMMA.sub(_blank, self._bare) if comments else text
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant)
        self.empty = not self._plain.strip(_SPACE)
        self.data: dict[str, object] = {} if self.empty else self._load()

    def _load(self) -> dict[str, object]:
        try:
            data: object = json.loads(self._plain, parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            raise MergeError(f"line {error.lineno}, column {error.colno} is not JSON: {error.msg}") from error
        except ValueError as error:
            raise MergeError(f"it is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise MergeError("it is JSON, but not an object")
        return cast(dict[str, object], data)

    def with_entry(self, target: Target, entry: Entry) -> str:
        """The text with the entry spliced in."""
        root = self._skip(0)
        container = self._member(root, target.container)
        if container is None:
            return self._insert(root, target.container, {target.name: entry})
        if self.data[target.container] is None:
            return self._replace(container, {target.name: entry})
        member = self._member(container.value, target.name)
        if member is None:
            return self._insert(container.value, target.name, entry)
        return self._replace(member, entry)

    def _replace(self, member: Member, value: object) -> str:
        new = self._dump(value, self._indent(member.start))
        return self._text[: member.value] + new + self._text[member.end :]

    def _insert(self, start: int, key: str, value: object) -> str:
        """The text with a member added behind the others of the object at `start`."""
        members = list(self._members(start))
        last = members[-1].end if members else start + 1
        close = self._plain.index("}", last)
        # What follows the last member on its line, and below it, is about that member.
        behind = last + len(self._text[last:close].rstrip(_SPACE))
        comma = "," if members and "," not in self._bare[last:close] else ""
        head = self._text[:last] + comma + self._text[last:behind]
        if self._flat or (members and "\n" not in self._text[start:close]):
            gap = " " if members else ""
            return f"{head}{gap}{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}{self._text[behind:]}"
        newline = newline_of(self._text)
        outer = self._indent(start)
        inner = self._indent(members[-1].start) if members else outer + self._unit()
        tail = self._text[behind:] if "\n" in self._text[behind:close] else newline + outer + self._text[behind:]
        return f"{head}{newline}{inner}{json.dumps(key)}: {self._dump(value, inner)}{tail}"

    def _member(self, start: int, key: str) -> Member | None:
        found = [member for member in self._members(start) if member.key == key]
        if len(found) > 1:
            line = self._text.count("\n", 0, found[1].start) + 1
            raise MergeError(f"line {line} has the key {key!r} a second time")
        return found[0] if found else None

    def _members(self, start: int) -> Iterator[Member]:
        """The members of the object that begins at `start`."""
        place = self._skip(start + 1)
        while self._plain[place] != "}":
            key, end = cast(tuple[str, int], self._decoder.raw_decode(self._plain, place))
            value = self._skip(self._skip(end) + 1)
            _, value_end = self._decoder.raw_decode(self._plain, value)
            yield Member(key, place, value, value_end)
            place = self._skip(value_end)
            if self._plain[place] == ",":
                place = self._skip(place + 1)

    def _skip(self, place: int) -> int:
        while self._plain[place] in _SPACE:
            place += 1
        return place

    def _indent(self, place: int) -> str:
        """What the line of a place begins with."""
        line = self._text[self._text.rfind("\n", 0, place) + 1 : place]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def _unit(self) -> str:
        found = _UNIT.search(self._bare)
        return found[1] if found else "  "

    @property
    def _flat(self) -> bool:
        """Whether all of it is on one line."""
        return bool(self.data) and "\n" not in self._text.strip(_SPACE)

    def _dump(self, value: object, indent: str) -> str:
        if self._flat:
            return json.dumps(value, ensure_ascii=False)
        return _dump(value, self._unit()).replace("\n", newline_of(self._text) + indent)


def _blank(found: re.Match[str]) -> str:
    token = found[0]
    return token if token.startswith('"') else re.sub(r"[^\r\n]", " ", token)


def _dump(value: object, unit: str = "  ") -> str:
    return json.dumps(value, indent=unit, ensure_ascii=False)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
