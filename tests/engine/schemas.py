"""Random JSON schemas of the kind that can be enforced."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Json = dict[str, Any]

NAMES = ("a", "b", "ab", "c/d", "e~f", "not", "ü", 'q"', "")
PATTERNS = ("^a+$", "b", "^(ab|c){1,3}$", "^[a-c ]*$", "x|^y", "[0-9]{2}$", '"', "^é?$")
FORMATS = ("date", "uuid", "ipv4", "time", "email")

_SMALL = st.integers(-30, 30)
_BOUND = _SMALL | st.sampled_from([-1.5, -0.5, 0.001, 0.5, 0.75, 2.25, 1e-7, 12.125])
_SCALARS = st.none() | st.booleans() | _SMALL | st.sampled_from([0.5, 1.0, -2.25, "", "a", "é", 'x"\\\n', "ab"])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
    max_leaves=4,
)


def _sometimes(keywords: dict[str, SearchStrategy[Any]], **always: SearchStrategy[Any]) -> SearchStrategy[Json]:
    return st.fixed_dictionaries(dict(always), optional=keywords)


def _numbers(kind: str) -> SearchStrategy[Json]:
    factors = st.sampled_from([2, 3, 7] if kind == "integer" else [1, 0.5, 0.25, 2])
    low = {"minimum": _BOUND, "exclusiveMinimum": _BOUND}
    high = {"maximum": _BOUND.map(lambda bound: bound + 20), "exclusiveMaximum": _BOUND.map(lambda bound: bound + 20)}
    return _sometimes({**low, **high, "multipleOf": factors}, type=st.just(kind))


_STRINGS = _sometimes(
    {"minLength": st.integers(0, 3), "maxLength": st.integers(3, 6), "pattern": st.sampled_from(PATTERNS)},
    type=st.just("string"),
) | _sometimes({}, type=st.just("string"), format=st.sampled_from(FORMATS))


def _arrays(inner: SearchStrategy[Any]) -> SearchStrategy[Json]:
    keywords: dict[str, SearchStrategy[Any]] = {
        "items": inner | st.booleans(),
        "prefixItems": st.lists(inner, max_size=3),
        "minItems": st.integers(0, 2),
        "maxItems": st.integers(2, 4),
    }
    return _sometimes(keywords, type=st.just("array"))


def _objects(inner: SearchStrategy[Any]) -> SearchStrategy[Json]:
    keywords: dict[str, SearchStrategy[Any]] = {
        "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
        "required": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
        "additionalProperties": inner | st.booleans(),
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$", "^[x-z]{1,2}$"]), inner, max_size=1),
        "minProperties": st.integers(0, 3),
        "maxProperties": st.integers(0, 4),
    }
    return _sometimes(keywords, type=st.just("object"))


def _branches(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.lists(inner, min_size=1, max_size=3)


@st.composite
def _joined(draw: st.DrawFn, inner: SearchStrategy[Any]) -> Json:
    schema = dict(draw(inner))
    applied = draw(st.sampled_from(["anyOf", "allOf", "oneOf", "$ref", "enum", "const", "type"]))
    match applied:
        case "$ref":
            schema[applied] = draw(st.sampled_from(["#", "#/$defs/one", "#/$defs/two%2Fthree"]))
        case "enum":
            schema[applied] = draw(st.lists(_VALUES, min_size=1, max_size=4))
        case "const":
            schema[applied] = draw(_VALUES)
        case "type":
            schema[applied] = draw(st.lists(st.sampled_from(["null", "integer", "string"]), min_size=1, unique=True))
        case _:
            schema[applied] = draw(_branches(inner))
    return dict(draw(st.permutations(list(schema.items()))))


def _nested(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return _arrays(inner) | _objects(inner) | _joined(inner) | _joined(st.just({}))


_LEAVES = _numbers("integer") | _numbers("number") | _STRINGS | st.sampled_from([{"type": "null"}, {"type": "boolean"}])
_PARTS = st.recursive(_LEAVES | _VALUES.map(lambda value: {"const": value}), _nested, max_leaves=6)


@st.composite
def schemas(draw: st.DrawFn) -> Json:
    """A schema with two definitions, which any part of it may refer to. Not every one can be enforced or satisfied."""
    root = draw(_nested(_PARTS))
    return {**root, "$defs": {"one": draw(_PARTS), "two/three": draw(_PARTS)}}
