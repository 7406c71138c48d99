"""Whatever the grammar of a prepared schema allows, the schema that the caller sent allows too."""

import json
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mcp_llama.engine.json_schema.prepared import prepare
from mcp_llama.errors import ConstraintError

from .matching import failure_of, random_text
from .schemas import Json, schemas


def exactly(text: str) -> Any:
    """JSON with its decimals as written: validators would otherwise see what doubles round them to."""
    return json.loads(text, parse_float=_number)


def _number(text: str) -> Decimal | float:
    try:
        return Decimal(text)
    except InvalidOperation:
        return float(text)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(schemas(), st.integers(0, 2**32))
def test_every_text_of_a_random_schema_is_valid_under_it(schema: Json, seed: int) -> None:
    try:
        prepared = prepare(schema, "schema")
    except ConstraintError:
        assume(False)
        raise
    assume(failure_of(prepared.schema) is None)
    validator: Any = Draft202012Validator(exactly(json.dumps(schema)))
    for turn in range(4):
        text = random_text(prepared.schema, seed + turn)
        if text is not None:
            with localcontext(prec=1000):
                validator.validate(exactly(text))
