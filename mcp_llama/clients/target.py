"""Where in a document an entry goes, and what a format must be able to do with one."""

import json
from dataclasses import dataclass
from typing import Protocol, cast

from mcp_llama.clients.failure import MergeError
from mcp_llama.clients.shapes import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The key of the container, and the name of the entry in it.

    In a `listed` container the entry is the item whose `name` it is. `preamble` begins a new document.
    """

    container: str
    name: str
    listed: bool = False
    preamble: str = ""


class Format(Protocol):
    """A language of documents. Texts have no byte order mark; their line ends are kept."""

    def render(self, target: Target, entry: Entry) -> str:
        """A document with nothing but the entry."""
        ...

    def merge(self, text: str, target: Target, entry: Entry) -> str:
        """The text with the entry added, or in the place of the one of its name; the same text if it is there.

        Raises:
            MergeError: the text is damaged, or more than the entry would have changed.
        """
        ...


def put(data: dict[str, object], target: Target, entry: Entry) -> dict[str, object]:
    """The data that a document must have once it has the entry."""
    container = data.get(target.container)
    if not target.listed:
        if container is not None and not isinstance(container, dict):
            raise MergeError(f"{target.container} in it is no table of entries")
        return {**data, target.container: {**cast(dict[str, object], container or {}), target.name: entry}}
    if container is not None and not isinstance(container, list):
        raise MergeError(f"{target.container} in it is no list of entries")
    items = cast(list[object], container or [])
    places = [index for index, item in enumerate(items) if _name(item) == target.name]
    if len(places) > 1:
        raise MergeError(f"{target.container} in it has {len(places)} entries {target.name!r}")
    index = places[0] if places else len(items)
    return {**data, target.container: [*items[:index], entry, *items[index + 1 :]]}


def same(one: object, other: object) -> bool:
    """Whether two documents say the same in the same order; 1, 1.0 and true differ."""
    return _canonical(one) == _canonical(other)


def check(outcome: object, expected: object) -> None:
    """Refuse a text that would say anything else than it said, the entry aside.

    Raises:
        MergeError: it would.
    """
    if not same(outcome, expected):
        raise MergeError("it is written in a way in which nothing can be added without touching more")


def newline_of(text: str) -> str:
    """The line end of a text, by its first line."""
    line, found, _ = text.partition("\n")
    return "\r\n" if found and line.endswith("\r") else "\n"


def _name(item: object) -> object:
    return cast(dict[str, object], item).get("name") if isinstance(item, dict) else None


def _canonical(value: object) -> str:
    # Dates of TOML and YAML are no JSON; their representation tells them apart.
    return json.dumps(value, default=repr)
