"""YAML. The parser of ruamel.yaml tells where things are, and the entry is spliced in there.

The library's own round trip keeps comments, but writes indentation, quotes and long lines anew.
"""

import io
import json
import re
from typing import Any, cast

from ruamel.yaml import YAML

from mcp_llama.clients.failure import MergeError
from mcp_llama.clients.shapes import Entry
from mcp_llama.clients.target import Target, check, newline_of, put, same
from mcp_llama.clients.yaml_tree import Node, compose, load

_WIDE = 1 << 20


class YamlFormat:
    """YAML whose entries are in a mapping or a list at the top."""

    def render(self, target: Target, entry: Entry) -> str:
        """A document with nothing but the entry."""
        return _dump({target.container: [entry] if target.listed else {target.name: entry}})

    def merge(self, text: str, target: Target, entry: Entry) -> str:
        """The text with the entry."""
        data = load(text)
        whole = self.render(target, entry)
        if data is None:
            return _append(text, target.preamble + whole)
        expected = put(data, target, entry)
        if same(data, expected):
            return text
        merged = _Splice(text, target, entry).merged(whole)
        try:
            outcome = load(merged)
        except MergeError:
            outcome = None
        check(outcome, expected)
        return merged


class _Splice:
    """An entry on its way into a text."""

    def __init__(self, text: str, target: Target, entry: Entry) -> None:
        self._text = text
        self._target = target
        self._entry = entry
        self._newline = newline_of(text)

    def merged(self, whole: str) -> str:
        """The text with the entry; `whole` is the document to append if there is no container."""
        root = compose(self._text)
        if root.flow:
            raise MergeError("it is written in one pair of braces")
        found = root.pair(self._target.container)
        if found is None:
            return _append(self._text, whole)
        key, container = found
        if container.scalar is not None or container.empty:
            return self._fill(key, container)
        own = self._own(container)
        if own is not None:
            return self._replace(*own, flow=container.flow)
        return self._into_flow(container) if container.flow else self._behind(container)

    def _own(self, container: Node) -> tuple[Node, Node] | None:
        """The entry that is there: what it begins with, and its value."""
        if not container.listed:
            return container.pair(self._target.name)
        for item in container.items():
            name = item.pair("name")
            if name is not None and name[1].scalar == self._target.name:
                return item, item
        return None

    def _fill(self, key: Node, container: Node) -> str:
        """The entry in a container that is empty."""
        start = end = self._text.index(":", key.end()) + 1
        if container.start < container.end(key):
            start, end = container.start, container.end(key)
        line_end = self._line_end(end)
        head = self._text[:start].rstrip(" ") + self._text[end:line_end]
        return self._with_block(head, "" if self._target.listed else "  ", line_end)

    def _replace(self, first: Node, value: Node, *, flow: bool) -> str:
        if flow:
            return self._text[: value.start] + self._flow() + self._text[value.end() :]
        indent = " " * first.column
        data = self._entry if self._target.listed else {self._target.name: self._entry}
        block = self._lines(data, indent).removeprefix(indent).removesuffix(self._newline)
        return self._text[: first.start] + block + self._text[value.end(first) :]

    def _into_flow(self, container: Node) -> str:
        close = container.end() - 1
        item = self._flow() if self._target.listed else f"{json.dumps(self._target.name)}: {self._flow()}"
        return f"{self._text[:close].rstrip(' ')}, {item}{self._text[close:]}"

    def _behind(self, container: Node) -> str:
        """The text with the entry behind all others, and behind the comments that are as deep as they are."""
        indent = " " * container.column
        place = self._line_end(container.end())
        comment = re.compile(rf"\n(?:[ \t]*\r?\n)*{indent or ' '}[ ]*#[^\n]*")
        while found := comment.match(self._text, place):
            place = found.end()
        return self._with_block(self._text[:place], indent, place)

    def _with_block(self, head: str, indent: str, place: int) -> str:
        """A text, the entry on lines of its own, and the text from the line end at `place` on."""
        data = [self._entry] if self._target.listed else {self._target.name: self._entry}
        return head.removesuffix("\r") + self._newline + self._lines(data, indent) + self._text[place + 1 :]

    def _line_end(self, place: int) -> int:
        found = self._text.find("\n", place)
        return len(self._text) if found < 0 else found

    def _lines(self, data: object, indent: str) -> str:
        return "".join(f"{indent}{line}{self._newline}" for line in _dump(data).splitlines())

    def _flow(self) -> str:
        return json.dumps(self._entry, ensure_ascii=False)


def _append(text: str, document: str) -> str:
    newline = newline_of(text)
    gap = newline if text and not text.endswith("\n") else ""
    return text + gap + document.replace("\n", newline)


def _dump(data: object) -> str:
    writer = cast(Any, YAML())
    writer.width = _WIDE
    out = io.StringIO()
    writer.dump(data, out)
    return out.getvalue()
