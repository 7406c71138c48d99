"""The walk through a JSON schema that leaves only what llguidance enforces to the letter."""

from collections.abc import Mapping

from mcp_llama.engine.json_schema.keywords import (
    ANNOTATIONS,
    COUNTS,
    FORMATS,
    HOLDS,
    UNSUPPORTED,
    is_list,
    is_mapping,
    is_number,
    is_trivial,
    misshapen,
    misspelt,
)
from mcp_llama.engine.json_schema.pointer import child, from_fragment, to_fragment
from mcp_llama.engine.json_schema.rules import (
    Schema,
    bound_fault,
    bounds,
    factor,
    fault_of,
    merges,
    modernised,
    too_large,
)
from mcp_llama.errors import ConstraintError, shown

_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


class Walk:
    """One schema on its way. `relaxed` says what was left out though it forbids something."""

    def __init__(self, schema: object, subject: str, lenient: bool) -> None:
        self.relaxed: list[str] = []
        self._source = schema
        self._subject = subject
        self._lenient = lenient
        self._places: dict[str, str] = {}
        self._references: list[tuple[Schema, str]] = []
        self._factors: list[tuple[Schema, str, tuple[int, int]]] = []
        self._merges = False

    def prepared(self) -> Schema:
        """The schema for llguidance, `{}` for true.

        Raises:
            ConstraintError: it is no schema, or cannot be enforced.
        """
        root = self._schema(self._source, "", "")
        if root is False:
            raise ConstraintError(self._subject, "false allows no value", "")
        for schema, pointer in self._references:
            self._link(schema, pointer)
        self._check_factors()
        return {} if root is True else root

    def _schema(self, source: object, pointer: str, place: str) -> Schema | bool:
        self._places[pointer] = place
        if isinstance(source, bool):
            return source
        if not is_mapping(source):
            raise ConstraintError(self._subject, "a schema must be an object, true or false", pointer)
        kept: Schema = {}
        modern = modernised(source)
        for name, (keyword, value) in zip(modern.names, modern.schema.items(), strict=True):
            if keyword in _BOUNDS:
                self._check_bound(keyword, value, pointer)
                kept.update(bounds(modern.schema))
            elif self._is_kept(keyword, value, modern.schema, pointer):
                kept[keyword] = self._value(keyword, value, child(pointer, name), child(place, keyword))
        if "$ref" in kept:
            self._references.append((kept, pointer))
        multiple = kept.get("multipleOf")
        found = factor(multiple) if is_number(multiple) else None
        if found is not None:
            self._factors.append((kept, pointer, found))
        self._merges = self._merges or merges(kept)
        return kept

    def _is_kept(self, keyword: str, value: object, schema: Mapping[str, object], pointer: str) -> bool:
        if keyword in HOLDS:
            return self._is_enforced(keyword, value, schema, pointer)
        if keyword in ANNOTATIONS or keyword.startswith("x-"):
            if keyword in ("$id", "id") and pointer and isinstance(value, str):
                self._refuse(pointer, keyword, "a schema within a schema cannot have a base of its own")
        elif keyword in UNSUPPORTED:
            if not is_trivial(keyword, value, schema):
                self._refuse(pointer, keyword, "this keyword is not supported")
        else:
            meant = misspelt(keyword)
            if meant is not None:
                self._refuse(pointer, keyword, f"there is no such keyword; did you mean {meant!r}?")
            else:
                self._relax(pointer, keyword, "there is no such keyword")
        return False

    def _is_enforced(self, keyword: str, value: object, schema: Mapping[str, object], pointer: str) -> bool:
        fault = misshapen(keyword, value)
        if fault is not None:
            raise ConstraintError(self._subject, fault, pointer, keyword)
        if keyword == "format" and value not in FORMATS:
            if _may_be_string(schema):
                self._relax(pointer, keyword, f"the known formats are {', '.join(sorted(FORMATS))}")
            return False
        reason = fault_of(keyword, schema)
        if reason is not None:
            self._refuse(pointer, keyword, reason)
        return reason is None

    def _value(self, keyword: str, value: object, pointer: str, place: str) -> object:
        match HOLDS[keyword]:
            case "schema":
                return self._schema(value, pointer, place)
            case "list" if is_list(value):
                return [self._schema(part, child(pointer, at), child(place, at)) for at, part in enumerate(value)]
            case "map" if is_mapping(value):
                return {
                    name: self._schema(part, child(pointer, name), child(place, name)) for name, part in value.items()
                }
            case _:
                return int(value) if keyword in COUNTS and isinstance(value, float) else value

    def _check_bound(self, keyword: str, value: object, pointer: str) -> None:
        fault = bound_fault(keyword, value)
        if fault is not None:
            raise ConstraintError(self._subject, fault, pointer, keyword)

    def _link(self, schema: Schema, pointer: str) -> None:
        target = from_fragment(str(schema["$ref"]))
        place = None if target is None else self._places.get(target)
        if place is None:
            reason = f"there is no schema at {schema['$ref']}; move it under $defs"
            raise ConstraintError(self._subject, reason, pointer, "$ref")
        schema["$ref"] = to_fragment(place)

    def _check_factors(self) -> None:
        accepted: list[tuple[int, int]] = []
        for schema, pointer, found in self._factors:
            reason = too_large([*accepted, found], self._merges)
            if reason is None:
                accepted.append(found)
            else:
                self._refuse(pointer, "multipleOf", reason)
                del schema["multipleOf"]

    def _refuse(self, pointer: str, keyword: str, reason: str) -> None:
        if not self._lenient:
            raise ConstraintError(self._subject, reason, pointer, keyword)
        self._relax(pointer, keyword, reason)

    def _relax(self, pointer: str, keyword: str, reason: str) -> None:
        place = shown(pointer) if pointer else "its root"
        self.relaxed.append(f"{self._subject}: {shown(keyword)} at {place} is not enforced: {reason}.")


def _may_be_string(schema: Mapping[str, object]) -> bool:
    types = schema.get("type", "string")
    return "string" in types if is_list(types) else types == "string"
