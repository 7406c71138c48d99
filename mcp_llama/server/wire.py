"""What the JSON of a request may say, wherever it is sent by plain HTTP."""

import time
from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from mcp_llama.api import Limits
from mcp_llama.engine.sampling import BOUNDS, MAX_SEED
from mcp_llama.engine.types import TokenDelta, TokenRequest

MAX_STOP = 16
UNLIMITED = -1
"""As `max_tokens`, in the habit of llama.cpp: as much as the context has room for."""
_MAX_TIME_S = 86_400


def bounded(name: str) -> Any:
    """An optional number within the bounds of the sampling option of that name."""
    low, high = BOUNDS[name]
    return Field(None, ge=low, le=high)


def _refuse_items(value: list[Any]) -> list[Any]:
    if value:
        raise PydanticCustomError("unsupported", "this server does not support it, leave it out")
    return value


def _refuse_zero(value: int) -> int:
    if value == 0:
        raise PydanticCustomError("max_tokens", "it must be at least 1, or -1 for all that the context has room for")
    return value


Token = Annotated[int, Field(ge=0, le=2**31 - 1)]
MaxTokens = Annotated[int, Field(ge=UNLIMITED, le=2**31 - 1), AfterValidator(_refuse_zero)]

EmptyList = Annotated[list[Any], AfterValidator(_refuse_items), WithJsonSchema({"type": "array", "maxItems": 0})]
"""A list that clients know and this server cannot honour."""


class Wire(BaseModel):
    """A JSON object that refuses names it does not know."""

    # With a bound, pydantic refuses text with lone surrogates, which could not be written out again.
    model_config = ConfigDict(extra="forbid", str_min_length=0)


class SamplingIn(Wire):
    """llama.cpp's sampling options by their own names. Without one, the model's own default counts."""

    temperature: float | None = bounded("temperature")
    dynatemp_range: float | None = bounded("dynatemp_range")
    dynatemp_exponent: float | None = bounded("dynatemp_exponent")
    top_k: int | None = bounded("top_k")
    top_p: float | None = bounded("top_p")
    min_p: float | None = bounded("min_p")
    typical_p: float | None = bounded("typical_p")
    top_n_sigma: float | None = bounded("top_n_sigma")
    xtc_probability: float | None = bounded("xtc_probability")
    xtc_threshold: float | None = bounded("xtc_threshold")
    dry_multiplier: float | None = bounded("dry_multiplier")
    dry_base: float | None = bounded("dry_base")
    dry_allowed_length: int | None = bounded("dry_allowed_length")
    dry_penalty_last_n: int | None = bounded("dry_penalty_last_n")
    mirostat: int | None = bounded("mirostat")
    mirostat_tau: float | None = bounded("mirostat_tau")
    mirostat_eta: float | None = bounded("mirostat_eta")
    repeat_penalty: float | None = bounded("repeat_penalty")
    repeat_last_n: int | None = bounded("repeat_last_n")
    presence_penalty: float | None = bounded("presence_penalty")
    frequency_penalty: float | None = bounded("frequency_penalty")
    seed: int | None = Field(None, ge=-1, le=2**63 - 1, description="-1 for a random one.")
    ignore_eos: bool | None = None

    def sampling(self) -> dict[str, object]:
        """The options that were given."""
        names = _SAMPLING_NAMES | {"logit_bias", "dry_sequence_breakers"}
        given = cast(dict[str, object], self.model_dump(include=names - {"seed"}, exclude_none=True))
        # OpenAI's seeds have 64 bits, llama.cpp's 32.
        return given if self.seed in (None, -1) else {**given, "seed": self.seed % (MAX_SEED + 1)}


_SAMPLING_NAMES = set(SamplingIn.model_fields)


class TextIn(SamplingIn):
    """What every request for text may say."""

    model: str | None = Field(None, description="Default: the model that is served.")
    max_time_s: float | None = Field(
        None, gt=0, le=_MAX_TIME_S, description="End after this time with the text so far; finish_reason is then time."
    )
    return_progress: bool | None = Field(None, description="Tell with `prompt_progress` how far the prompt is.")


class StructuredSamplingIn(Wire):
    """The sampling options that are no plain values, and so cannot be in a query."""

    logit_bias: dict[str, float] | None = Field(
        None, description="Added to the logits of tokens by id, -100 to 100; all else is unchanged."
    )
    dry_sequence_breakers: list[str] | None = None


Stop = Annotated[
    str | Annotated[list[str], Field(max_length=MAX_STOP)] | None,
    Field(description=f"End before any of these strings, at most {MAX_STOP}."),
]


def stop_strings(stop: str | list[str] | None) -> tuple[str, ...]:
    """The stop strings as the backend takes them."""
    return () if stop is None else (stop,) if isinstance(stop, str) else tuple(stop)


def limits(text: TextIn, max_tokens: int | None, default: int | None, stop: str | list[str] | None) -> Limits:
    """Where a generation ends."""
    if max_tokens == UNLIMITED:
        max_tokens = default = None
    return Limits(
        max_tokens=max_tokens, default_max_tokens=default, max_time_s=text.max_time_s, stop=stop_strings(stop)
    )


def choice_samplings(sampling: Mapping[str, object], n: int) -> list[dict[str, object]]:
    """The sampling options of each of `n` choices: a given seed counts up, so that they differ.

    A seed that is none stays as it is, to be refused.
    """
    seed = sampling.get("seed")
    if n == 1 or not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        return [dict(sampling)] * n
    return [{**sampling, "seed": (seed + number) % (MAX_SEED + 1)} for number in range(n)]


class PromptProgress:
    """How far the prompt of one request is, in the words of llama.cpp's server."""

    def __init__(self, request: TokenRequest) -> None:
        self._total = len(request.prompt)
        self._processed = -1

    def advance(self, delta: TokenDelta) -> dict[str, Any] | None:
        """Where a delta brings it, None if no farther; `time_ms` counts from the request's slot."""
        processed = min(delta.computed_tokens, self._total)
        if processed <= self._processed:
            return None
        self._processed = processed
        admitted = delta.admitted if delta.admitted is not None else time.monotonic()
        return {
            "total": self._total,
            "cache": delta.cached_tokens,
            "processed": processed,
            "time_ms": round((time.monotonic() - admitted) * 1000, 1),
        }
