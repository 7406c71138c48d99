"""SamplingParams: how the next token is chosen, checked in one place for every door."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self, cast

from mcp_llama.errors import RequestError, UnknownNameError, shown

MAX_SEED = 2**32 - 2
"""The largest seed of a llama.cpp sampler; the next value means 'random'."""

_MAX_BIAS = 1000.0
_MAX_TOKEN_DIGITS = 10

BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 100.0),
    "dynatemp_range": (0.0, 100.0),
    "dynatemp_exponent": (0.0, 100.0),
    "top_k": (0, 2**31 - 1),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "top_n_sigma": (-1.0, 100.0),
    "xtc_probability": (0.0, 1.0),
    "xtc_threshold": (0.0, 1.0),
    "dry_multiplier": (0.0, 100.0),
    "dry_base": (1.0, 100.0),
    "dry_allowed_length": (0, 2**20),
    "dry_penalty_last_n": (-1, 2**20),
    "mirostat": (0, 2),
    "mirostat_tau": (0.0, 100.0),
    "mirostat_eta": (0.0, 1.0),
    "repeat_penalty": (0.01, 100.0),
    "repeat_last_n": (-1, 2**20),
    "presence_penalty": (-100.0, 100.0),
    "frequency_penalty": (-100.0, 100.0),
    "seed": (0, MAX_SEED),
}
"""The least and the largest value of each number; whole numbers have whole bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How the next token is chosen. Names, meanings and defaults are llama.cpp's; `seed` None means random."""

    temperature: float = 0.8
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    top_n_sigma: float = -1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None
    ignore_eos: bool = False

    def override(self, options: Mapping[str, object]) -> Self:
        """A copy with `options` in place; values are JSON values.

        Raises:
            UnknownNameError: an option does not exist.
            RequestError: a value has the wrong type or lies outside its bounds.
        """
        known = {f.name for f in fields(self)}
        for name in options:
            if name not in known:
                raise UnknownNameError("sampling option", name, known)
        return replace(self, **{name: _checked(name, value) for name, value in options.items()})


def _checked(name: str, value: object) -> object:
    match name:
        case "logit_bias":
            return _checked_logit_bias(value)
        case "dry_sequence_breakers":
            return _checked_breakers(value)
        case "ignore_eos":
            if not isinstance(value, bool):
                raise RequestError(f"ignore_eos is {shown(value)}, but it must be true or false.")
            return value
        case "seed" if value is None:
            return None
        case _:
            return _checked_number(name, value)


def _checked_number(name: str, value: object) -> float | int:
    low, high = BOUNDS[name]
    whole = isinstance(low, int)
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not fits or (whole and value != int(cast(float, value))):
        kind = "a whole number" if whole else "a number"
        raise RequestError(f"{name} is {shown(value)}, but it must be {kind} from {_bound(low)} to {_bound(high)}.")
    number = cast(float, value)
    return int(number) if whole else float(number)


def _checked_logit_bias(value: object) -> tuple[tuple[int, float], ...]:
    given = shown(value)
    biases: Mapping[object, object] = {"": None}
    if isinstance(value, Mapping):
        biases = cast(Mapping[object, object], value)
    if not all(_is_token_id(token) and _is_bias(bias) for token, bias in biases.items()):
        example = '{"15496": -100}'
        raise RequestError(
            f"logit_bias is {given}, but it must map token ids to numbers from -1000 to 1000, such as {example}."
        )
    return tuple((int(str(token)), float(cast(float, bias))) for token, bias in biases.items())


def _is_token_id(token: object) -> bool:
    return isinstance(token, int | str) and str(token).isdecimal() and len(str(token)) <= _MAX_TOKEN_DIGITS


def _is_bias(bias: object) -> bool:
    """A number that llama.cpp adds without losing the others to rounding, or minus infinity to forbid the token."""
    if isinstance(bias, bool) or not isinstance(bias, int | float):
        return False
    return bias == -math.inf or -_MAX_BIAS <= bias <= _MAX_BIAS


def _checked_breakers(value: object) -> tuple[str, ...]:
    given = shown(value)
    breakers: list[object] = list(cast(list[object], value)) if isinstance(value, list | tuple) else [None]
    if not all(_is_text(breaker) for breaker in breakers):
        raise RequestError(f"dry_sequence_breakers is {given}, but it must be a list of non-empty strings.")
    return tuple(cast(list[str], breakers))


def _is_text(value: object) -> bool:
    """A string that is not empty and has neither lone surrogates, which UTF-8 cannot say, nor NUL, which C cannot."""
    bad = isinstance(value, str) and any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value)
    return isinstance(value, str) and bool(value) and not bad


def _bound(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"
