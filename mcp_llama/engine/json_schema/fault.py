"""Which part of a JSON schema it is that llguidance refuses."""

import time
from collections.abc import Callable, Iterator

from mcp_llama.engine.json_schema.keywords import HOLDS, is_list, is_mapping
from mcp_llama.engine.json_schema.pointer import child, find, from_fragment
from mcp_llama.engine.json_schema.rules import Schema
from mcp_llama.errors import ConstraintError

FailureOf = Callable[[Schema], str | None]
"""llguidance's message about a schema, None where it takes it."""

_MAX_TRIES = 200
_MAX_SECONDS = 2.0
_SHARED = ("$defs", "definitions", "x-guidance")
_REASONS = (
    ("Unable to determine if regex is empty", "together these expressions and lengths are too complex; simplify them"),
    ("patternProperty regexes", "two patterns may match the same key; make them disjoint"),
    (
        "oneOf constraints are not supported",
        "its branches may overlap; tell them apart by a required const, or use anyOf",
    ),
    ("circular references with sibling keys", "a reference that leads back to itself must stand alone"),
    ("too large", "it unfolds to too many combinations; simplify it"),
    ("too big", "it unfolds to too many combinations; simplify it"),
    ("panic", "llguidance cannot work with it; simplify it"),
)


def explain(schema: Schema, subject: str, failure_of: FailureOf, message: str) -> ConstraintError:
    """The error for a prepared schema that llguidance refuses with `message`."""
    pointer, keyword = locate(schema, failure_of)
    return ConstraintError(subject, _reason(message), pointer, keyword)


def locate(schema: Schema, failure_of: FailureOf) -> tuple[str | None, str | None]:
    """The pointer of the innermost subschema that llguidance refuses by itself, and the keyword that makes it do so.

    None where neither can be told within some hundred tries.
    """
    try:
        return _Search(schema, failure_of).fault()
    except TimeoutError:
        return None, None


class _Search:
    def __init__(self, root: Schema, failure_of: FailureOf) -> None:
        self._root = root
        self._failure_of = failure_of
        self._tries = _MAX_TRIES
        self._deadline = time.monotonic() + _MAX_SECONDS

    def fault(self) -> tuple[str | None, str | None]:
        pointer, schema, seen = "", self._root, {""}
        if not self._fails(schema):
            return None, None
        while (inner := self._failing_part(schema, pointer, seen)) is not None:
            pointer, schema = inner
            seen.add(pointer)
        return pointer, self._keyword(schema)

    def _failing_part(self, schema: Schema, pointer: str, seen: set[str]) -> tuple[str, Schema] | None:
        parts = [*_parts(schema, pointer), *_target(self._root, schema)]
        return next(((place, part) for place, part in parts if place not in seen and self._fails(part)), None)

    def _keyword(self, schema: Schema) -> str | None:
        for keyword in sorted(schema, key="type".__eq__):
            rest = {name: value for name, value in schema.items() if name != keyword}
            if keyword not in _SHARED and not self._fails(rest):
                return keyword
        return None

    def _fails(self, schema: Schema) -> bool:
        """Whether `schema` is refused by itself."""
        if self._tries == 0 or time.monotonic() > self._deadline:
            raise TimeoutError
        self._tries -= 1
        shared = {name: self._root[name] for name in _SHARED if name in self._root}
        return self._failure_of({**shared, **schema}) is not None


def _target(root: Schema, schema: Schema) -> Iterator[tuple[str, Schema]]:
    pointer = from_fragment(str(schema.get("$ref", "")))
    target = find(root, pointer) if pointer is not None else None
    if pointer is not None and is_mapping(target):
        yield pointer, dict(target)


def _parts(schema: Schema, pointer: str) -> Iterator[tuple[str, Schema]]:
    for keyword, value in schema.items():
        if keyword in _SHARED:
            continue
        match HOLDS.get(keyword, "value"):
            case "schema":
                found = [(child(pointer, keyword), value)]
            case "list" if is_list(value):
                found = [(child(pointer, keyword, at), part) for at, part in enumerate(value)]
            case "map" if is_mapping(value):
                found = [(child(pointer, keyword, name), part) for name, part in value.items()]
            case _:
                continue
        yield from ((place, dict(part)) for place, part in found if is_mapping(part))


def _reason(message: str) -> str:
    for sign, reason in _REASONS:
        if sign in message:
            return reason
    lines = [line.strip() for line in message.splitlines() if line.strip() and set(line.strip()) != {"^"}]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (told or lines or ["llguidance gives no reason"])[0][:200].removeprefix("Unsatisfiable schema: ")
