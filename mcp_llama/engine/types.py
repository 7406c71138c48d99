"""All that crosses the border between the event loop and the engine thread. Everything here is immutable."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self, cast

from mcp_llama.api import FinishReason
from mcp_llama.errors import RequestError, UnknownNameError

MAX_SEED = 2**32 - 2
"""The largest seed of a llama.cpp sampler; the next value means 'random'."""

_BOUNDS: dict[str, tuple[float, float]] = {
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
                raise RequestError(f"ignore_eos is {value!r}, but it must be true or false.")
            return value
        case "seed" if value is None:
            return None
        case _:
            return _checked_number(name, value)


def _checked_number(name: str, value: object) -> float | int:
    low, high = _BOUNDS[name]
    whole = isinstance(low, int)
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not fits or (whole and value != int(cast(float, value))):
        kind = "a whole number" if whole else "a number"
        raise RequestError(f"{name} is {value!r}, but it must be {kind} from {low:g} to {high:g}.")
    number = cast(float, value)
    return int(number) if whole else float(number)


def _checked_logit_bias(value: object) -> tuple[tuple[int, float], ...]:
    message = f'logit_bias is {value!r}, but it must map token ids to numbers, such as {{"15496": -100}}.'
    if not isinstance(value, Mapping):
        raise RequestError(message)
    biases: list[tuple[int, float]] = []
    for token, bias in cast(Mapping[object, object], value).items():
        if not str(token).isdecimal() or isinstance(bias, bool) or not isinstance(bias, int | float):
            raise RequestError(message)
        if math.isnan(bias):
            raise RequestError(message)
        biases.append((int(str(token)), float(bias)))
    return tuple(biases)


def _checked_breakers(value: object) -> tuple[str, ...]:
    items: list[object] = list(cast(list[object], value)) if isinstance(value, list | tuple) else [None]
    if not all(isinstance(item, str) and item for item in items):
        raise RequestError(f"dry_sequence_breakers is {value!r}, but it must be a list of non-empty strings.")
    return tuple(cast(list[str], items))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """One sequence to run. `arrival` and `deadline` are `time.monotonic()` seconds; `seed` in `sampling` is set."""

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: SamplingParams
    stop: tuple[str, ...]
    arrival: float
    deadline: float | None


@dataclass(frozen=True, slots=True)
class Finish:
    """Why and when a sequence ended. Times are `time.monotonic()` seconds; `admitted` is when it got a slot."""

    reason: FinishReason
    stop: str | None
    cached_tokens: int
    admitted: float | None
    first_token: float | None
    finished: float
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class TokenDelta:
    """What happened to a sequence since the last delta.

    `computed_tokens` counts prompt and completion so far, `completion_tokens` the completion alone.
    `text` is complete characters only, and may be empty.
    """

    text: str
    computed_tokens: int
    completion_tokens: int
    finish: Finish | None = None

    def merged(self, later: "TokenDelta") -> "TokenDelta":
        """This delta and a later one of the same sequence as one."""
        return TokenDelta(self.text + later.text, later.computed_tokens, later.completion_tokens, later.finish)
