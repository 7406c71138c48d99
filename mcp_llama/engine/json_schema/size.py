"""How large a JSON schema may be, so that it compiles in a second and no step of its enforcement stalls the engine.

Each bound is from a measurement; the deepest ones keep llguidance, which recurses, from overflowing its stack.
"""

import json
from collections.abc import Iterator, Mapping
from functools import reduce

from llguidance import LLParserLimits

from mcp_llama.engine.json_schema.keywords import HOLDS, LONGEST_NAME, is_list, is_mapping
from mcp_llama.engine.json_schema.pointer import find, from_fragment
from mcp_llama.engine.json_schema.rules import Schema
from mcp_llama.errors import ConstraintError

MAX_CHARACTERS = 250_000
MAX_DEPTH = 90
MAX_PARTS = 10_000
MAX_KEYS = 2_000
"""Of one object."""
MAX_NAMES = 5_000
"""The names of properties of all objects together."""
MAX_CHOICES = 2_000
"""The alternatives, and the optional keys of all alternatives together, that may be open at one place of a text."""
MAX_NESTING = 500
"""The nesting of the schema and of all schemas that references lead to, one within the other."""


def parser_limits() -> LLParserLimits:
    """Enough for every schema that passes here; a step that needs more fails within some 30 ms."""
    return LLParserLimits(max_items_in_row=20_000, step_max_items=20_000, verbose_errors=False)


def checked(schema: object, subject: str) -> object:
    """A copy of `schema`.

    Raises:
        ConstraintError: it is too large, or no JSON.
    """
    _check_shape(schema, subject)
    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError) as error:
        raise ConstraintError(subject, f"it is no JSON ({str(error).partition(':')[0]})", "") from None
    if len(text) > MAX_CHARACTERS:
        raise ConstraintError(subject, f"it has {len(text):,} characters; at most {MAX_CHARACTERS:,} are allowed", "")
    return json.loads(text)


def _check_shape(schema: object, subject: str) -> None:
    todo, seen = [(schema, 1)], 0
    while todo:
        value, depth = todo.pop()
        seen += 1
        if depth > MAX_DEPTH:
            raise ConstraintError(subject, f"it is nested deeper than {MAX_DEPTH} levels", "")
        if seen > MAX_PARTS:
            raise ConstraintError(subject, f"it has more than {MAX_PARTS:,} objects and lists", "")
        if is_mapping(value):
            _check_keys(value, subject)
        parts = value.values() if is_mapping(value) else value if is_list(value) else ()
        todo.extend((part, depth + 1) for part in parts if is_mapping(part) or is_list(part))


def _check_keys(value: Mapping[str, object], subject: str) -> None:
    if len(value) > MAX_KEYS:
        raise ConstraintError(subject, f"an object in it has more than {MAX_KEYS:,} keys", "")
    if any(len(str(key)) > LONGEST_NAME for key in value):
        raise ConstraintError(subject, f"a key in it has more than {LONGEST_NAME:,} characters", "")


def check_work(root: Schema, subject: str) -> None:
    """Refuse what makes llguidance work or recurse too much. `root` has no reference that leads nowhere.

    Raises:
        ConstraintError: it does.
    """
    spread = _Spread(root)
    places = list(_subschemas(root))
    names = sum(len(_names(place)) for place in places)
    if names > MAX_NAMES:
        raise ConstraintError(subject, f"it names more than {MAX_NAMES:,} properties", "")
    targets = {str(place["$ref"]) for place in places if "$ref" in place}
    depth = _depth(root) + sum(_depth(find(root, from_fragment(target) or "")) for target in targets)
    if depth > MAX_NESTING:
        raise ConstraintError(subject, f"its references nest it deeper than {MAX_NESTING} levels", "")
    if any(max(spread.of(place)) > MAX_CHOICES for place in places):
        raise ConstraintError(subject, f"more than {MAX_CHOICES:,} choices are open at one place", "")


def _parts(schema: Mapping[str, object]) -> Iterator[object]:
    for keyword, value in schema.items():
        match HOLDS.get(keyword, "value"):
            case "schema":
                yield value
            case "list" if is_list(value):
                yield from value
            case "map" if is_mapping(value):
                yield from value.values()
            case _:
                pass


def _subschemas(schema: object) -> Iterator[Mapping[str, object]]:
    if is_mapping(schema):
        yield schema
        for part in _parts(schema):
            yield from _subschemas(part)


def _depth(schema: object) -> int:
    if not is_mapping(schema):
        return 0
    inner = {keyword: value for keyword, value in schema.items() if keyword not in ("$defs", "definitions")}
    return 1 + max(map(_depth, _parts(inner)), default=0)


def _names(schema: Mapping[str, object]) -> set[object]:
    properties, required = schema.get("properties"), schema.get("required")
    return set(properties if is_mapping(properties) else ()) | set(required if is_list(required) else ())


class _Spread:
    """How many alternatives a schema has, and how many optional keys these have together."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._known: dict[str, tuple[int, int]] = {}

    def of(self, schema: object) -> tuple[int, int]:
        if not is_mapping(schema):
            return 1, 0
        properties, required = schema.get("properties"), schema.get("required")
        optional = set(properties if is_mapping(properties) else ()) - set(required if is_list(required) else ())
        factors = [(1, len(optional))]
        if "$ref" in schema:
            factors.append(self._target(str(schema["$ref"])))
        factors += map(self.of, _list(schema, "allOf"))
        for keyword in ("anyOf", "oneOf", "enum"):
            branches = [self.of(part) for part in _list(schema, keyword)] if keyword != "enum" else _constants(schema)
            if branches:
                factors.append((sum(a for a, _ in branches), sum(k for _, k in branches)))
        return reduce(lambda x, y: (x[0] * y[0], x[1] * y[0] + y[1] * x[0]), factors)

    def _target(self, reference: str) -> tuple[int, int]:
        if reference not in self._known:
            self._known[reference] = (1, 0)
            self._known[reference] = self.of(find(self._root, from_fragment(reference) or ""))
        return self._known[reference]


def _list(schema: Mapping[str, object], keyword: str) -> list[object]:
    value = schema.get(keyword)
    return value if is_list(value) else []


def _constants(schema: Mapping[str, object]) -> list[tuple[int, int]]:
    return [(1, 0) for part in _list(schema, "enum") if isinstance(part, (dict, list))]
