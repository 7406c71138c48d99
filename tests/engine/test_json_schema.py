"""What callers' JSON schemas become, and what they are told."""

from typing import Any

import pytest

from mcp_llama.engine.json_schema.fault import explain, locate
from mcp_llama.engine.json_schema.prepared import prepare
from mcp_llama.errors import ConstraintError

from .matching import accepts, failure_of

Json = dict[str, Any]


def enforced(schema: object) -> Json:
    """What is left of a schema, without the settings."""
    prepared = prepare(schema, "schema")
    assert not prepared.relaxed
    return {keyword: value for keyword, value in prepared.schema.items() if keyword != "x-guidance"}


def refusal(schema: object) -> ConstraintError:
    with pytest.raises(ConstraintError) as caught:
        prepare(schema, "schema")
    return caught.value


def explained(schema: object) -> ConstraintError:
    prepared = prepare(schema, "schema").schema
    message = failure_of(prepared)
    assert message is not None
    return explain(prepared, "schema", failure_of, message)


UNSUPPORTED: list[tuple[str, object]] = [
    ("not", {"type": "null"}),
    ("if", {"type": "null"}),
    ("contains", {"type": "null"}),
    ("uniqueItems", True),
    ("propertyNames", {"pattern": "^a"}),
    ("propertyNames", {"type": "integer"}),
    ("dependentRequired", {"a": ["b"]}),
    ("dependentSchemas", {"a": {}}),
    ("dependencies", {"a": ["b"]}),
    ("unevaluatedItems", False),
    ("unevaluatedProperties", False),
    ("$dynamicRef", "#a"),
    ("$recursiveRef", "#"),
    ("$ref", "https://example.org/a"),
    ("$id", "https://example.org/a"),
    ("pattern", "^(?!a)"),
    ("pattern", r"\bword"),
    ("pattern", r"(a)\1"),
    ("pattern", "[a[b]c]"),
    ("pattern", "[a-z&&b]"),
    ("pattern", "(a{100}){100}"),
    ("const", 2**53),
    ("const", {"a": ["x\x01"]}),
    ("const", 0.30000000000000004),
    ("const", 1e-30),
    ("enum", ["a", "\x7f"]),
    ("const", "a" * 10_001),
    ("multipleOf", 0.07),
    ("multipleOf", 50_001),
    ("minProperties", 2),
    ("maxlength", 3),
    ("min_length", 3),
    ("patternProperties", {"(?=a)": {}}),
    ("patternProperties", {f"^{number}$": {} for number in range(21)}),
]


@pytest.mark.parametrize(("keyword", "value"), UNSUPPORTED)
def test_what_cannot_be_enforced_is_refused_with_its_place(keyword: str, value: object) -> None:
    then = {"then": False} if keyword == "if" else {}
    error = refusal({"properties": {"a/b~": {keyword: value, **then}}})
    assert (error.pointer, error.keyword) == ("/properties/a~1b~0", keyword)


@pytest.mark.parametrize(("keyword", "value"), UNSUPPORTED)
def test_what_cannot_be_enforced_is_left_out_and_told_where_that_will_do(keyword: str, value: object) -> None:
    then = {"then": False} if keyword == "if" else {}
    prepared = prepare({"items": {keyword: value, **then, "type": "null"}}, "schema", lenient=True)
    assert prepared.schema["items"] == {"type": "null"}
    (told,) = prepared.relaxed
    assert "'/items'" in told
    assert repr(keyword) in told


@pytest.mark.parametrize(
    "trivial",
    [
        {"uniqueItems": False},
        {"uniqueItems": True, "maxItems": 1},
        {"propertyNames": {"type": "string", "title": "Key"}},
        {"propertyNames": True},
        {"if": {"type": "null"}},
        {"not": False},
        {"then": False},
        {"dependentRequired": {}},
        {"unevaluatedProperties": {}},
        {"additionalItems": False},
        {"title": "T", "description": "D", "default": {"not": 1}, "examples": [1], "$schema": "s", "$comment": "c"},
        {
            "readOnly": True,
            "deprecated": True,
            "contentMediaType": "text/plain",
            "discriminator": {"propertyName": "p"},
        },
        {"x-order": 1, "x-guidance": {"lenient": True}, "$id": "https://example.org/root", "$anchor": "a"},
    ],
)
def test_what_forbids_nothing_is_dropped_without_a_word(trivial: Json) -> None:
    assert enforced({"type": "object", **trivial}) == {"type": "object"} | (
        {"maxItems": 1} if "maxItems" in trivial else {}
    )


def test_names_and_values_that_look_like_keywords_are_none() -> None:
    schema = {"properties": {"not": {"const": {"not": 1}}, "if": {"enum": [{"$ref": "x"}]}}, "required": ["not"]}
    assert enforced(schema) == schema


def test_an_unknown_keyword_or_format_is_told_but_does_no_harm() -> None:
    prepared = prepare({"type": "string", "colour": "red", "format": "colour"}, "schema")
    assert [("'colour'" in told, "'format'" in told) for told in prepared.relaxed] == [(True, False), (False, True)]
    assert prepared.schema["type"] == "string"
    assert "format" not in prepared.schema


def test_a_format_of_what_is_no_string_says_nothing() -> None:
    assert enforced({"type": ["integer", "null"], "format": "int32"}) == {"type": ["integer", "null"]}


NO_SCHEMAS: list[tuple[object, str, str | None]] = [
    ([], "", None),
    (None, "", None),
    (False, "", None),
    ({"items": 1}, "", "items"),
    ({"anyOf": [{}, 1]}, "/anyOf/1", None),
    ({"anyOf": []}, "", "anyOf"),
    ({"minLength": -1}, "", "minLength"),
    ({"maxItems": 2**31}, "", "maxItems"),
    ({"minimum": "1"}, "", "minimum"),
    ({"minimum": 2**53}, "", "minimum"),
    ({"exclusiveMaximum": -(2**53)}, "", "exclusiveMaximum"),
    ({"type": "text"}, "", "type"),
    ({"required": "a"}, "", "required"),
    ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "/properties/a", "$ref"),
    ({"$ref": "#/title", "title": {}}, "", "$ref"),
    ({"const": float("nan")}, "", None),
    ({"const": "\ud800"}, "", None),
    ({"const": 10**5000}, "", None),
    ({"const": {1, 2}}, "", None),
]


@pytest.mark.parametrize(("schema", "pointer", "keyword"), NO_SCHEMAS)
def test_what_is_no_schema_is_refused_with_its_place(schema: object, pointer: str, keyword: str | None) -> None:
    for lenient in (False, True):
        with pytest.raises(ConstraintError) as caught:
            prepare(schema, "schema", lenient=lenient)
        assert (caught.value.pointer, caught.value.keyword) == (pointer, keyword)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}, "0"),
        ({"type": "number", "minimum": -0.5, "exclusiveMaximum": 0}, "-0"),
        ({"type": "number", "exclusiveMaximum": 0.3, "minimum": 0}, "0.29999999999999999999"),
        ({"type": "number", "exclusiveMinimum": True, "enum": [3, 4], "minimum": 3}, "3"),
        ({"type": "number", "minimum": 3, "exclusiveMinimum": 3}, "3"),
        ({"type": "integer", "exclusiveMaximum": 4, "maximum": 20}, "4"),
        ({"type": "number", "maximum": 3.9999999999999996}, "4"),
        ({"type": "number", "minimum": 0.30000000000000004}, "0.3"),
        ({"type": "number", "minimum": 1e-300, "maximum": 1}, "0"),
        ({"type": "number", "exclusiveMinimum": 2e-15, "maximum": 1}, "0.000000000000002"),
        ({"properties": {"a": {"type": "integer"}}}, r'{"a": 1, "\u0061": "x"}'),
        ({"prefixItems": [{"type": "string"}], "additionalItems": False}, "[1]"),
        ({"items": [{"type": "string"}], "enum": [["a", 2], ["b"]], "additionalItems": False}, '["a", 2]'),
        ({"type": "string"}, r'"\ud800"'),
        ({"type": "string", "pattern": "^a"}, '"ba"'),
        ({"type": "array"}, "[1,2]"),
        ({"type": "array"}, "[ 1]"),
    ],
)
def test_a_text_that_the_schema_forbids_is_not_allowed(schema: Json, text: str) -> None:
    assert not accepts(prepare(schema, "schema").schema, text)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (True, '{"a": [1, "x", null]}'),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}, "0.001"),
        ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 2}, "1"),
        ({"type": "integer", "minimum": -(2**63), "maximum": 2**64}, str(2**53 - 1)),
        ({"$ref": "#/$defs/a%20b~1c", "$defs": {"a b/c": {"type": "null"}}}, "null"),
        (
            {"items": [{"type": "string"}, {"$ref": "#/items/0"}], "additionalItems": {"type": "null"}},
            '["a", "b", null]',
        ),
        ({"type": "array", "items": {"$ref": "#"}}, "[[], [[]]]"),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "null"),
        ({"type": "object", "minProperties": 1, "additionalProperties": {"type": "null"}}, '{"a": null}'),
        ({"type": "string", "minLength": 2.0}, '"éé"'),
        ({"allOf": [{"multipleOf": 0.5}, {"multipleOf": 3}], "type": "number"}, "6"),
    ],
)
def test_a_text_that_the_schema_allows_is_allowed(schema: object, text: str) -> None:
    assert accepts(prepare(schema, "schema").schema, text)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
        {"type": "array", "prefixItems": [{"$ref": "#"}], "minItems": 1},
        {"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#"}]}}},
    ],
)
def test_a_schema_whose_values_never_end_is_refused(schema: Json) -> None:
    assert "for ever" in refusal(schema).reason


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"allOf": [{"multipleOf": 49_999}, {"multipleOf": 3}]}, "together"),
        ({"allOf": [{"multipleOf": 0.001}, {"multipleOf": 1000}]}, "together"),
        ({"multipleOf": 49_999, "anyOf": [{"multipleOf": 3}]}, "together"),
        ({"properties": {f"{n}": {"type": "integer", "multipleOf": 49_000 + n} for n in range(3)}}, "together"),
        ({"patternProperties": {"^a": {"multipleOf": 49_999}}, "properties": {"ab": {"multipleOf": 3}}}, "together"),
    ],
)
def test_factors_that_llguidance_cannot_reckon_with_are_refused(schema: Json, reason: str) -> None:
    error = refusal(schema)
    assert error.keyword == "multipleOf"
    assert reason in error.reason


def test_factors_that_never_meet_need_not_fit_together() -> None:
    schema = {"properties": {"a": {"multipleOf": 0.01}, "b": {"multipleOf": 1000}}}
    assert enforced(schema) == schema


@pytest.mark.parametrize("keyword", ["minProperties", "maxProperties"])
def test_counts_of_optional_keys_are_refused_unless_llguidance_can_count_them(keyword: str) -> None:
    names: Json = {"properties": {"a": {}, "b": {}}, "additionalProperties": False}
    assert enforced({**names, keyword: 1}) == {**names, keyword: 1}
    assert refusal({"properties": {"a": {}}, keyword: 1}).keyword == keyword
    assert refusal({**names, "required": ["a"], keyword: 3}).keyword == keyword


@pytest.mark.parametrize(
    ("schema", "pointer", "keyword"),
    [
        ({"properties": {"a": {"items": {"type": "string", "pattern": "("}}}}, "/properties/a/items", "pattern"),
        ({"$ref": "#/$defs/b", "$defs": {"a": {"pattern": "["}, "b": {"$ref": "#/$defs/a"}}}, "/$defs/a", "pattern"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "", "minimum"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "", "required"),
        ({"anyOf": [{"oneOf": [{"minLength": 1}, {"type": "string"}]}]}, "/anyOf/0", "oneOf"),
        ({"patternProperties": {"^a": {}, "b$": {}}}, "", "patternProperties"),
    ],
)
def test_what_llguidance_refuses_is_located(schema: Json, pointer: str, keyword: str) -> None:
    error = explained(schema)
    assert (error.pointer, error.keyword) == (pointer, keyword)
    assert "\n" not in error.reason


def test_a_definition_that_nothing_refers_to_is_not_at_fault() -> None:
    error = explained({"$defs": {"unused": {"pattern": "("}}, "type": "integer", "minimum": 3, "maximum": 2})
    assert (error.pointer, error.keyword) == ("", "minimum")


def test_a_fault_is_not_sought_for_ever() -> None:
    tried = list[object]()

    def always(schema: object) -> str | None:
        tried.append(schema)
        return "no"

    wide = {"anyOf": [{"const": number} for number in range(500)]}
    assert locate({"properties": {"a": wide}}, always) is not None

    def only_the_whole(schema: Json) -> str | None:
        tried.append(schema)
        return "no" if "properties" in schema or "anyOf" in schema else None

    assert locate({"properties": {"a": wide}}, only_the_whole) == (None, None)
    assert len(tried) < 500


def test_one_of_is_taken_as_any_of_where_that_will_do() -> None:
    schema = {"oneOf": [{"type": "string"}, {"minLength": 1}]}
    assert failure_of(prepare(schema, "schema").schema) is not None
    assert failure_of(prepare(schema, "schema", lenient=True).schema) is None
