"""JSON schemas as an agent should get them: nothing in them that only costs it tokens."""

from typing import Any, cast

Schema = dict[str, Any]

_REF = "#/$defs/"
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "minLength")
"""A refusal tells them, to those few who need to know."""
_EMPTY: tuple[object, ...] = (None, "", [], {})


def lean_arguments(schema: Schema) -> Schema:
    """A tool's input schema, which refuses names that it does not list."""
    return {**lean(schema), "additionalProperties": False}


def lean(schema: Schema) -> Schema:
    """The schema without generated titles, bounds, descriptions of whole objects, empty defaults and definitions."""
    return _lean(schema, cast(dict[str, Schema], schema.get("$defs", {})))


def _lean(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    if "$ref" in schema:
        return _lean(definitions[cast(str, schema["$ref"]).removeprefix(_REF)], definitions)
    noise = {"title", "$defs", *_BOUNDS}
    if "default" in schema and schema["default"] in _EMPTY:
        noise.add("default")
    if "properties" in schema:
        noise.add("description")
    return {key: _lean_value(key, value, definitions) for key, value in schema.items() if key not in noise}


def _lean_value(key: str, value: Any, definitions: dict[str, Schema]) -> Any:
    if key == "properties":
        named = cast(dict[str, Schema], value)
        return {name: _lean(inner, definitions) for name, inner in named.items()}
    if isinstance(value, dict):
        return _lean(cast(Schema, value), definitions)
    return value
