"""The value of JSON text that a model wrote."""

import json
import math


def json_value(text: str) -> object:
    """The value.

    Raises:
        ValueError: the text is no JSON, or holds what Python or JSON cannot carry on: a number out of range, or nesting
            without end.
    """
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits[:20]} is out of range")
    return number


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
