"""Schemas made to hurt: each is refused, or compiles soon and is enforced without a stall."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from mcp_llama.engine.json_schema.prepared import prepare
from mcp_llama.errors import ConstraintError

from .matching import matcher

Json = dict[str, Any]


def keys(count: int, **more: Any) -> Json:
    return {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(count)}, **more}


def deep(levels: int) -> Json:
    schema: Json = {"type": "null"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def chain(count: int) -> Json:
    links = {f"d{n}": {"properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}}} for n in range(count)}
    return {"$ref": "#/$defs/d0", "$defs": {**links, f"d{count}": {"type": "null"}}}


def bare(count: int) -> Json:
    links: Json = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(count)}
    return {"$ref": "#/$defs/d0", "$defs": {**links, f"d{count}": {"type": "null"}}}


def required_chain(count: int) -> Json:
    links = {
        f"d{n}": {"type": "object", "required": ["a"], "properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}}}
        for n in range(count)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**links, f"d{count}": {"type": "null"}}}


def braid(count: int) -> Json:
    links = {
        f"d{n}": {
            "type": ["array", "null"],
            "allOf": [{"anyOf": [{"items": {"$ref": f"#/$defs/d{n + 1}"}}, {"minItems": 2}]}],
        }
        for n in range(count)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**links, f"d{count}": {"type": "null"}}}


def pairs(count: int) -> Json:
    return {"allOf": [{"anyOf": [keys(0, required=[f"x{n}"]), keys(0, required=[f"y{n}"])]} for n in range(count)]}


REFUSED: dict[str, Json] = {
    "deep": deep(100),
    "a long chain of references": chain(600),
    "a chain of bare references": bare(498),
    "a chain of required keys": required_chain(240),
    "a long text": {"description": "x" * 250_001},
    "many parts": {"prefixItems": [{}] * 10_001},
    "many keys of one object": {"const": {f"{n}": n for n in range(2_001)}},
    "many names": {"allOf": [{"required": [f"{part}_{n}" for n in range(2_000)]} for part in range(3)]},
    "a long name": {"properties": {"x" * 4_097: {}}},
    "a long required name": {"required": ["x" * 4_097]},
    "many optional keys": keys(1_500, additionalProperties=False, anyOf=[keys(2), keys(2)]),
    "many alternatives": {"enum": [[n] for n in range(2_001)]},
    "2^22 alternatives": pairs(22),
    "optional keys in every alternative": keys(20, anyOf=[{"required": [f"p{n}"]} for n in range(500)]),
    "a repetition": {"type": "string", "pattern": "^(a{1000}){1000}$"},
    "a long match": {"type": "string", "pattern": "^a*$", "minLength": 1_000_000},
    "a large factor": {"type": "integer", "multipleOf": 999_983},
}

ENFORCED: dict[str, Json] = {
    "nested repetition": {"type": "string", "pattern": "(a+)+$"},
    "stars": {"type": "string", "pattern": "(.*a){30}"},
    "overlapping alternatives": {"type": "string", "pattern": "^(a|b|ab){1,4000}$"},
    "look far back": {"type": "string", "pattern": ".*a.{200}b.*c.{300}d"},
    "minItems": {"type": "array", "minItems": 100_000, "items": {"const": 1}},
    "maxItems": {"type": "array", "maxItems": 10_000_000},
    "minLength": {"type": "string", "minLength": 10_000_000},
    "enum": {"enum": [f"value {n}" for n in range(10_000)]},
    "enum of lists": {"enum": [[n] for n in range(1_900)]},
    "optional keys": keys(1_500, additionalProperties=False),
    "branches with optional keys": {"anyOf": [keys(20, additionalProperties=False)] * 90},
    "left recursion": {"anyOf": [{"$ref": "#"}, {"type": "string"}]},
    "ambiguous recursion": {"anyOf": [*[{"type": "array", "items": {"$ref": "#"}}] * 30, {"type": "null"}]},
    "factors": {"items": [{"type": "integer", "multipleOf": 9_900 + n} for n in range(10)]},
    "patterns of keys": {"patternProperties": {f"^a{n}_": {} for n in range(20)}},
    "a long constant": {"const": "a" * 10_000},
    "deep": deep(80),
    "a chain of references": chain(240),
    "a chain of many bare references": bare(200),
    "a braid of references": braid(120),
    "required keys": {"type": "object", "required": [f"p{n}" for n in range(2_000)]},
}


def is_refused(schema: Json, lenient: bool) -> bool:
    """Whether it is, wholly or where that will do in part."""
    try:
        return bool(prepare(schema, "schema", lenient=lenient).relaxed) and lenient
    except ConstraintError:
        return True


@pytest.mark.parametrize("name", REFUSED)
def test_a_schema_that_would_hurt_is_refused(name: str) -> None:
    started = time.perf_counter()
    for lenient in (False, True):
        assert is_refused(REFUSED[name], lenient)
    assert time.perf_counter() - started < 2


ENFORCEMENT = """
import json, sys, time
from mcp_llama.engine.json_schema.prepared import prepare
from tests.engine.matching import matcher

started = time.perf_counter()
made = matcher(prepare(json.load(sys.stdin), "schema").schema)
compiled, worst = time.perf_counter() - started, 0.0
for _ in range(60):
    started = time.perf_counter()
    mask = made.compute_bitmask()
    allowed = [n for n in range(1, 257) if mask[n // 8] >> n % 8 & 1] if not made.is_error() else []
    worst = max(worst, time.perf_counter() - started)
    if made.is_error() or made.is_stopped() or not allowed:
        break
    made.consume_token(next((n for n in allowed if n - 1 in b'ab[{"'), allowed[0]))
print(json.dumps([compiled, worst]))
"""


@pytest.mark.parametrize("name", ENFORCED)
def test_a_demanding_schema_is_enforced_without_a_stall(name: str) -> None:
    schema = json.dumps(ENFORCED[name])
    command = [sys.executable, "-c", ENFORCEMENT]
    done = subprocess.run(command, input=schema, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    compiled, worst = json.loads(done.stdout)
    # About ten times what was measured on two cores.
    assert compiled < 5
    assert worst < 0.5


def test_a_step_that_needs_too_much_fails_at_once() -> None:
    made = matcher(prepare(ENFORCED["minItems"], "schema").schema)
    started = time.perf_counter()
    made.compute_bitmask()
    made.consume_token(ord("[") + 1)
    made.compute_bitmask()
    assert time.perf_counter() - started < 0.5
    assert made.is_error()


def test_a_schema_that_contains_itself_is_refused() -> None:
    schema: Json = {}
    schema["items"] = schema
    with pytest.raises(ConstraintError, match="nested"):
        prepare(schema, "schema")
