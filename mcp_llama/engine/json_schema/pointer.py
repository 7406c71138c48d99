"""JSON pointers (RFC 6901), the names of the parts of a JSON document."""

import re
from typing import cast
from urllib.parse import quote, unquote

_INDEX = re.compile("[0-9]{1,9}")


def child(pointer: str, *steps: str | int) -> str:
    """The pointer of a part of what `pointer` names."""
    return pointer + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def parts(pointer: str) -> list[str]:
    """The steps that `pointer` takes from the root."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def find(document: object, pointer: str) -> object:
    """The part of `document` that `pointer` names, or None."""
    for step in parts(pointer):
        if isinstance(document, dict):
            document = cast("dict[str, object]", document).get(step)
        elif isinstance(document, list) and _INDEX.fullmatch(step):
            items = cast("list[object]", document)
            document = items[int(step)] if int(step) < len(items) else None
        else:
            return None
    return document


def from_fragment(reference: str) -> str | None:
    """The pointer in a `$ref` such as '#/$defs/a%20b', or None if it is not one into the same document."""
    pointer = unquote(reference[1:])
    if not reference.startswith("#") or (pointer and not pointer.startswith("/")):
        return None
    return child("", *parts(pointer))


def to_fragment(pointer: str) -> str:
    """The `$ref` that names what `pointer` names."""
    return "#" + quote(pointer, safe="/~$")
