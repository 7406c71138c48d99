"""The shapes of the tools' structured results, and how a Result becomes one."""

from typing import Annotated, Any

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel, WithJsonSchema

from mcp_llama.api import FinishReason, ModelStatus, Result

TIMINGS_KEY = "mcp-llama/timings"
"""Where in a result's `_meta` the facts are that an agent need not read."""


# Left out when unknown, never null, which the schema says in fewer tokens.
OptionalInteger = Annotated[int | None, WithJsonSchema({"type": "integer"})]
OptionalString = Annotated[str | None, WithJsonSchema({"type": "string"})]
OptionalBoolean = Annotated[bool | None, WithJsonSchema({"type": "boolean"})]


class UsageOut(BaseModel):
    """Token counts of one call."""

    prompt_tokens: int
    completion_tokens: int


class TextOut(BaseModel):
    """The structured result of `generate` and `chat`."""

    text: str
    finish_reason: FinishReason
    model: str
    usage: UsageOut


class TokenCountOut(BaseModel):
    """The structured result of `count_tokens`: the count, and what the context of one call holds."""

    tokens: int
    n_ctx: int


class ModelOut(BaseModel):
    """One model, as `models` shows it; what is not known yet is left out."""

    name: str
    state: str
    parameters: OptionalInteger = None
    quantisation: OptionalString = None
    n_ctx: OptionalInteger = None
    chat: OptionalBoolean = None
    error: OptionalString = None


class ModelsOut(BaseModel):
    """The structured result of `models`."""

    models: list[ModelOut]


def text_result(result: Result, model: str) -> CallToolResult:
    """Plain text for hosts that read text, a lean object for those that read objects, the rest in `_meta`."""
    usage = UsageOut(prompt_tokens=result.usage.prompt_tokens, completion_tokens=result.usage.completion_tokens)
    out = TextOut(text=result.text, finish_reason=result.finish_reason, model=model, usage=usage)
    return CallToolResult(
        content=[TextContent(type="text", text=result.text)],
        structured_content=out.model_dump(mode="json"),
        _meta={TIMINGS_KEY: facts(result)},
    )


def structured_result(text: str, out: BaseModel) -> CallToolResult:
    """A short text and the object it stands for."""
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=out.model_dump(mode="json", exclude_none=True),
    )


def model_out(status: ModelStatus) -> ModelOut:
    """A model's status as the tool `models` shows it."""
    state = f"loading {status.loaded:.0%}" if status.state == "loading" else status.state
    card = status.card
    if card is None:
        return ModelOut(name=status.name, state=state, error=status.error)
    return ModelOut(
        name=status.name,
        state=state,
        parameters=card.parameters,
        quantisation=card.quantisation,
        n_ctx=card.n_ctx,
        chat=card.chat_template is not None,
    )


def facts(result: Result) -> dict[str, Any]:
    """Timings in milliseconds, and what else explains a result; what is not known is left out."""
    timings, usage = result.timings, result.usage
    rate = timings.decode_tokens_per_second(usage.completion_tokens)
    known = {
        "queue_ms": round(timings.queue_s * 1000, 1),
        "ttft_ms": None if timings.ttft_s is None else round(timings.ttft_s * 1000, 1),
        "total_ms": round(timings.total_s * 1000, 1),
        "tokens_per_second": None if rate is None else round(rate, 1),
        "cached_tokens": usage.cached_tokens,
        "seed": result.seed,
        "stop": result.stop,
    }
    return {key: value for key, value in known.items() if value is not None}
