"""Rewrites of keywords so that llguidance enforces them exactly, and the reasons why it cannot enforce some.

Each rule was found by looking for texts that llguidance allows and the schema does not.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from mcp_llama.engine.json_schema.keywords import is_list, is_mapping, is_number
from mcp_llama.engine.json_schema.pointer import from_fragment
from mcp_llama.engine.pattern import fault_of_pattern

LARGEST_INTEGER = 2**53 - 1
_LARGEST_FACTOR = 50_000
_MOST_FACTORS = 100_000
_EXACT_DIGITS = 15
_STEP = Decimal("1e-15")
_LONGEST_CONSTANT = 10_000
_LONGEST_MATCH = 1_000
_MOST_PATTERNS = 20
_ESCAPABLE = "\b\t\n\f\r"

Schema = dict[str, object]


@dataclass(frozen=True, slots=True)
class Modern:
    """A schema in the words of draft 2020-12. `names` are the words that its caller used, in the same order."""

    schema: Mapping[str, object]
    names: tuple[str, ...]


def modernised(schema: Mapping[str, object]) -> Modern:
    """`schema` with the list that older drafts call `items` as `prefixItems`."""
    if not is_list(schema.get("items")):
        return Modern(schema, tuple(schema))
    renamed = {"items": "prefixItems", "additionalItems": "items"}
    old = {keyword: value for keyword, value in schema.items() if keyword != "prefixItems"}
    return Modern({renamed.get(keyword, keyword): value for keyword, value in old.items()}, tuple(old))


def _inward(bound: float, rounding: str, strict: bool) -> float:
    """`bound` in digits that llguidance reads exactly, rounded into the range; not itself if `strict`."""
    clamped = max(-LARGEST_INTEGER, min(bound, LARGEST_INTEGER))
    if clamped == int(clamped) and not strict:
        return int(clamped)
    context = Context(prec=_EXACT_DIGITS, rounding=rounding)
    number = context.create_decimal(repr(clamped))
    if strict and number == Decimal(repr(clamped)):
        number = number.next_plus(context) if rounding == ROUND_CEILING else number.next_minus(context)
    return float(number.quantize(_STEP, rounding) if abs(number) < 1 else number)


def _bound(schema: Mapping[str, object], plain: str, exclusive: str, rounding: str) -> float | None:
    inclusive, strict = schema.get(plain), schema.get(exclusive)
    limits: list[float] = []
    if is_number(inclusive):
        limits.append(_inward(inclusive, rounding, strict is True))
    if is_number(strict):
        limits.append(_inward(strict, rounding, True))
    tightest = max if rounding == ROUND_CEILING else min
    return tightest(limits, default=None)


def bounds(schema: Mapping[str, object]) -> dict[str, float]:
    """The inclusive `minimum` and `maximum` that say what the up to four bounds of `schema` say.

    llguidance ignores some exclusive bounds, and misreads numbers of many digits by a unit in the last place.
    """
    low = _bound(schema, "minimum", "exclusiveMinimum", ROUND_CEILING)
    high = _bound(schema, "maximum", "exclusiveMaximum", ROUND_FLOOR)
    return {name: value for name, value in (("minimum", low), ("maximum", high)) if value is not None}


def factor(multiple_of: float) -> tuple[int, int] | None:
    """`multiple_of` as (digits, decimals), or None if it has too many digits, or more as a double than written."""
    value, decimals = multiple_of, 0
    while value % 1 and value <= _LARGEST_FACTOR:
        value, decimals = value * 10, decimals + 1
    if value > _LARGEST_FACTOR or Decimal(int(value)).scaleb(-decimals) != Decimal(repr(multiple_of)):
        return None
    return int(value), decimals


def too_large(factors: list[tuple[int, int]], merges: bool) -> str | None:
    """Why multiples of all `factors` are too much for one schema.

    Where schemas are merged, llguidance reckons their common multiple with 32 bits.
    """
    scale = max(decimals for _, decimals in factors)
    common = math.lcm(*(digits * 10 ** (scale - decimals) for digits, decimals in factors)) if merges else 0
    if common > _LARGEST_FACTOR or sum(digits for digits, _ in factors) > _MOST_FACTORS:
        return "this and the other values of multipleOf are too large together"
    return None


def merges(schema: Mapping[str, object]) -> bool:
    """Whether the keywords of `schema` may join several subschemas into one."""
    branches = [keyword for keyword in ("$ref", "allOf", "anyOf", "oneOf", "enum", "const") if keyword in schema]
    alone = set(schema) - {"$defs", "definitions"} == set(branches)
    joined = bool(branches) and (not alone or len(branches) > 1 or "allOf" in schema)
    return joined or "patternProperties" in schema


def bound_fault(keyword: str, value: object) -> str | None:
    """Why a bound of numbers cannot be enforced."""
    if isinstance(value, bool) and keyword.startswith("exclusive"):
        return None
    if not is_number(value):
        return "must be a number"
    low = keyword.endswith("inimum")
    if (value > LARGEST_INTEGER) if low else (value < -LARGEST_INTEGER):
        return f"numbers beyond {LARGEST_INTEGER:,} are not exact"
    return None


def _scalars(value: object) -> Iterator[object]:
    if is_mapping(value):
        for part in value.values():
            yield from _scalars(part)
    elif is_list(value):
        for part in value:
            yield from _scalars(part)
    else:
        yield value


def _is_short(number: float) -> bool:
    written = Decimal(repr(number)).normalize()
    exponent = written.as_tuple().exponent
    return len(written.as_tuple().digits) <= _EXACT_DIGITS and isinstance(exponent, int) and exponent >= -_EXACT_DIGITS


def unwritable(value: object) -> str | None:
    """Why a constant cannot be written exactly."""
    for scalar in _scalars(value):
        if is_number(scalar) and abs(scalar) > LARGEST_INTEGER:
            return f"numbers beyond {LARGEST_INTEGER:,} are not exact"
        if isinstance(scalar, float) and not _is_short(scalar):
            return f"numbers of more than {_EXACT_DIGITS} digits or decimals are not exact"
        if isinstance(scalar, str) and len(scalar) > _LONGEST_CONSTANT:
            return f"a string must not have more than {_LONGEST_CONSTANT:,} characters"
        if isinstance(scalar, str) and any((c < " " and c not in _ESCAPABLE) or c == "\x7f" for c in scalar):
            return "control characters other than \\b \\t \\n \\f \\r cannot be written"
    return None


def counting_fault(schema: Mapping[str, object], keyword: str) -> str | None:
    """Why `minProperties` or `maxProperties` cannot be enforced beside the other keywords of `schema`."""
    required = schema.get("required")
    properties = schema.get("properties")
    needed = set(required) if is_list(required) else set[object]()
    optional = (set(properties) if is_mapping(properties) else set[str]()) - needed
    closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
    least, most = schema.get("minProperties", 0), schema.get("maxProperties")
    spare = least - len(needed) if is_number(least) else 0
    room = most - len(needed) if is_number(most) else 1
    if keyword == "minProperties" and spare > 1:
        return "a free key may be repeated, and repeated keys count once; list the keys in required instead"
    if optional and (spare > 0 or most is not None) and not (closed and spare <= 1 and room == 1):
        return "it can only be enforced where every key of properties is required, or where it is 1"
    return None


def fault_of(keyword: str, schema: Mapping[str, object]) -> str | None:
    """Why the value of a well-formed keyword cannot be enforced beside the other keywords of `schema`."""
    value = schema[keyword]
    match keyword:
        case "const" | "enum":
            return unwritable(value)
        case "pattern":
            return fault_of_pattern(str(value))
        case "patternProperties" if is_mapping(value):
            if len(value) > _MOST_PATTERNS:
                return f"there must not be more than {_MOST_PATTERNS} patterns"
            return next(filter(None, map(fault_of_pattern, value)), None)
        case "multipleOf" if is_number(value) and factor(value) is None:
            return f"it must have few digits: a whole number up to {_LARGEST_FACTOR:,}, or one divided by a power of 10"
        case "minProperties" | "maxProperties":
            return counting_fault(schema, keyword)
        case "minLength" if is_number(value) and value > _LONGEST_MATCH and ("pattern" in schema or "format" in schema):
            return f"it must not be more than {_LONGEST_MATCH:,} beside pattern or format"
        case "$ref" if from_fragment(str(value)) is None:
            return "only references within the schema ('#/…') are followed"
        case _:
            return None
