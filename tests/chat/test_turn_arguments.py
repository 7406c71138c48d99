"""What the schemas of tools become in the grammar of an answer."""

from collections.abc import Mapping

import pytest

from mcp_llama.api import Tool
from mcp_llama.errors import ConstraintError
from tests.chat.answers import SYNTAXES, written
from tests.chat.grammars import SUB, made
from tests.chat.walks import accepts


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"type": ["object", "null"]},
        {"properties": {"n": {"type": "integer"}}},
        {"description": "anything"},
        {"anyOf": [{"type": "object"}, {"type": "string"}]},
        {"$ref": "#/$defs/all", "$defs": {"all": {}}},
    ],
)
def test_arguments_are_always_an_object(parameters: Mapping[str, object]) -> None:
    grammar, _ = made(SYNTAXES["generic"], Tool(name="add", parameters=parameters), choice="required")
    assert accepts(grammar, written(SYNTAXES["generic"], ("add", "{}")))
    for other in ("null", "5", '"s"', "[]", "true"):
        assert not accepts(grammar, written(SYNTAXES["generic"], ("add", other)))


def test_a_tool_without_parameters_takes_none() -> None:
    grammar, _ = made(SYNTAXES["generic"], SUB, choice="required")
    assert not accepts(grammar, written(SYNTAXES["generic"], ("sub", '{"n": 1}')))


@pytest.mark.parametrize("kind", ["string", ["null", "array"], 5])
def test_a_tool_whose_arguments_are_no_object_is_refused_by_name(kind: object) -> None:
    with pytest.raises(ConstraintError, match=r"^The schema of tool 'add' cannot be enforced.*keyword 'type'"):
        made(SYNTAXES["hermes"], Tool(name="add", parameters={"type": kind}))


def test_what_a_schema_asks_for_in_vain_is_told_or_refused_if_strict() -> None:
    parameters = {"type": "object", "properties": {"n": {"type": "array", "uniqueItems": True}}}
    grammar, _ = made(SYNTAXES["hermes"], Tool(name="add", parameters=parameters))
    (note,) = grammar.relaxed
    assert note.startswith("The schema of tool 'add': 'uniqueItems' at '/properties/n' is not enforced")
    with pytest.raises(ConstraintError, match=r"^The schema of tool 'add' cannot be enforced at '/properties/n'"):
        made(SYNTAXES["hermes"], Tool(name="add", parameters=parameters, strict=True))
