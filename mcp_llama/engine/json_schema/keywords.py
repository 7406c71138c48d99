"""What each JSON schema keyword means to the enforcement of a schema."""

import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Literal, TypeGuard

Kind = Literal["schema", "list", "map", "value"]

HOLDS: Mapping[str, Kind] = {
    "$defs": "map",
    "definitions": "map",
    "properties": "map",
    "patternProperties": "map",
    "additionalProperties": "schema",
    "items": "schema",
    "prefixItems": "list",
    "allOf": "list",
    "anyOf": "list",
    "oneOf": "list",
    **dict.fromkeys(
        ("$ref", "const", "enum", "type", "minItems", "maxItems", "required", "minProperties", "maxProperties"), "value"
    ),
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format", "multipleOf"), "value"),
}
"""The keywords that can be enforced, by what they hold."""

ANNOTATIONS = frozenset(
    [
        "$schema",
        "$id",
        "id",
        "$anchor",
        "$dynamicAnchor",
        "$recursiveAnchor",
        "$vocabulary",
        "$comment",
        "title",
        "description",
        "default",
        "examples",
        "example",
        "deprecated",
        "readOnly",
        "writeOnly",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "discriminator",
        "nullable",
        "xml",
        "externalDocs",
        "additionalItems",
        "then",
        "else",
        "minContains",
        "maxContains",
    ]
)
"""Keywords that forbid nothing, or nothing by themselves."""

UNSUPPORTED = frozenset(
    [
        "not",
        "if",
        "contains",
        "uniqueItems",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "unevaluatedItems",
        "unevaluatedProperties",
        "$dynamicRef",
        "$recursiveRef",
    ]
)

FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"])

_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_ASSERTIONS = sorted({*HOLDS, *UNSUPPORTED, *_BOUNDS, "additionalItems", "minContains", "maxContains"})
_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_LARGEST_COUNT = 2**31 - 1
LONGEST_NAME = 4_096
"""Characters of a property's name."""


def misspelt(keyword: str) -> str | None:
    """The keyword that an unknown one was probably meant to be."""
    known = {name.lower(): name for name in _ASSERTIONS}
    near = get_close_matches(keyword.replace("_", "").replace("-", "")[:40].lower(), known, n=1, cutoff=0.85)
    return known[near[0]] if near else None


def _is_string_schema(value: object) -> bool:
    return is_mapping(value) and (set(value) - ANNOTATIONS <= {"type"}) and value.get("type", "string") == "string"


def is_trivial(keyword: str, value: object, schema: Mapping[str, object]) -> bool:
    """Whether an unsupported keyword forbids nothing here."""
    match keyword:
        case "uniqueItems":
            few = schema.get("maxItems")
            return value is False or (is_number(few) and few <= 1)
        case "propertyNames":
            return value is True or _is_string_schema(value)
        case "if":
            return "then" not in schema and "else" not in schema
        case "not":
            return value is False
        case "unevaluatedItems" | "unevaluatedProperties":
            return value is True or value == {}
        case _:
            return value == {} and keyword in ("dependentRequired", "dependentSchemas", "dependencies")


def is_mapping(value: object) -> TypeGuard[Mapping[str, object]]:
    """Whether `value` is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Whether `value` is a JSON array."""
    return isinstance(value, list)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether `value` is a finite JSON number."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _is_schema(value: object) -> bool:
    return isinstance(value, (dict, bool))


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_filled_list(value: object) -> bool:
    return is_list(value) and bool(value)


def _is_factor(value: object) -> bool:
    return is_number(value) and value > 0


def _is_names(value: object) -> bool:
    return is_list(value) and all(isinstance(name, str) and len(name) <= LONGEST_NAME for name in value)


def _is_type(value: object) -> bool:
    names = value if is_list(value) else [value]
    return bool(names) and all(isinstance(name, str) and name in _TYPES for name in names)


def _is_count(value: object) -> bool:
    return is_number(value) and 0 <= value <= _LARGEST_COUNT and value == int(value)


COUNTS = frozenset({"minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"})

_COUNT = (_is_count, f"must be a whole number from 0 to {_LARGEST_COUNT:,}")
_SCHEMA = (_is_schema, "must be a schema: an object, true or false")
_STRING = (_is_string, "must be a string")

_SHAPES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    **dict.fromkeys(COUNTS, _COUNT),
    **dict.fromkeys(("additionalProperties", "items"), _SCHEMA),
    **dict.fromkeys(("pattern", "format", "$ref"), _STRING),
    **dict.fromkeys(("$defs", "definitions", "properties", "patternProperties"), (is_mapping, "must be an object")),
    **dict.fromkeys(("anyOf", "oneOf", "allOf"), (_is_filled_list, "must be a list of schemas")),
    "prefixItems": (is_list, "must be a list of schemas"),
    "enum": (_is_filled_list, "must be a list of at least one value"),
    "multipleOf": (_is_factor, "must be a number above 0"),
    "required": (_is_names, f"must be a list of strings of at most {LONGEST_NAME:,} characters"),
    "type": (_is_type, f"must be one or several of {', '.join(sorted(_TYPES))}"),
}


def misshapen(keyword: str, value: object) -> str | None:
    """What the value of a supported keyword has to be, if it is not."""
    shape = _SHAPES.get(keyword)
    return None if shape is None or shape[0](value) else shape[1]
