"""The shapes of the tools' structured results, and how a Result becomes one."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel, WithJsonSchema

from mcp_llama.api import FinishReason, ModelStatus, RankedToken, Result, TokenLogprob, ToolCall
from mcp_llama.chat.json_value import json_value

TIMINGS_KEY = "mcp-llama/timings"
"""Where in a result's `_meta` the facts are that an agent need not read."""


# Left out when unknown, never null, which the schema says in fewer tokens.
OptionalInteger = Annotated[int | None, WithJsonSchema({"type": "integer"})]
OptionalString = Annotated[str | None, WithJsonSchema({"type": "string"})]
OptionalBoolean = Annotated[bool | None, WithJsonSchema({"type": "boolean"})]


class UsageOut(BaseModel):
    """Token counts of one call; reasoning is part of the completion."""

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: OptionalInteger = None


class ToolCallOut(BaseModel):
    """A call; its arguments are an object, or a text where it breaks off."""

    id: str
    name: str
    arguments: Any


class ChoiceOut(BaseModel):
    """One text. `parsed` is its value if it had to be JSON, `notes` tell what it lacks."""

    text: str
    finish_reason: FinishReason
    parsed: Annotated[Any, WithJsonSchema({})] = None
    notes: Annotated[list[str] | None, WithJsonSchema({"type": "array"})] = None
    logprobs: Annotated[list[list[Any]] | None, WithJsonSchema({"type": "array"})] = None


class TextOut(ChoiceOut):
    """The structured result of `generate`: the first text, and all of them if there are several."""

    model: str
    usage: Annotated[UsageOut, WithJsonSchema({"type": "object"})]
    choices: Annotated[list[dict[str, Any]] | None, WithJsonSchema({"type": "array"})] = None


class ChatOut(TextOut):
    """The structured result of `chat`, which may have reasoning and tool calls."""

    reasoning: OptionalString = None
    tool_calls: Annotated[list[ToolCallOut] | None, WithJsonSchema({"type": "array"})] = None


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

    models: Annotated[list[ModelOut], WithJsonSchema({"type": "array", "items": {"type": "object"}})]


def text_result(results: Sequence[Result], model: str) -> CallToolResult:
    """Plain text for hosts that read text, a lean object for those that read objects, the rest in `_meta`.

    The texts are of as many choices; the first one is the result's own.
    """
    choices = [_choice(result) for result in results]
    out = {**choices[0], "model": model, "usage": _usage(results)}
    if len(choices) > 1:
        out["choices"] = choices
    return CallToolResult(
        content=[TextContent(type="text", text=text) for choice in choices for text in _texts(choice)],
        structured_content=out,
        _meta={TIMINGS_KEY: facts(results[0])},
    )


def _texts(choice: dict[str, Any]) -> list[str]:
    """A choice for hosts that read text: tool calls as JSON, and no empty text beside them."""
    calls = [json.dumps({"tool_calls": choice["tool_calls"]}, ensure_ascii=False)] if "tool_calls" in choice else []
    return [choice["text"], *calls] if choice["text"] or not calls else calls


def _usage(results: Sequence[Result]) -> dict[str, int]:
    """The counts of all choices, which share their prompt."""
    reasoning = sum(result.usage.reasoning_tokens for result in results)
    counts = {
        "prompt_tokens": results[0].usage.prompt_tokens,
        "completion_tokens": sum(result.usage.completion_tokens for result in results),
    }
    return {**counts, "reasoning_tokens": reasoning} if reasoning else counts


def _choice(result: Result) -> dict[str, Any]:
    """A choice as an object, without what it does not have."""
    choice: dict[str, Any] = {"text": result.text, "finish_reason": result.finish_reason}
    if result.reasoning:
        choice["reasoning"] = result.reasoning
    if result.tool_calls:
        choice["tool_calls"] = [
            {"id": call.id, "name": call.name, "arguments": _arguments(call)} for call in result.tool_calls
        ]
    if result.parsed is not None:
        choice["parsed"] = result.parsed
    if result.notes:
        choice["notes"] = list(result.notes)
    if result.logprobs:
        choice["logprobs"] = [_logprob(entry) for entry in result.logprobs]
    return choice


def _arguments(call: ToolCall) -> Any:
    try:
        return json_value(call.arguments)
    except ValueError:
        return call.arguments


def _logprob(entry: TokenLogprob) -> list[Any]:
    """A token and its log probability, and the same for each alternative."""
    alternatives = [[_token(other), round(other.logprob, 4)] for other in entry.top]
    return [_token(entry.sampled), round(entry.sampled.logprob, 4), *([alternatives] if alternatives else [])]


def _token(token: RankedToken) -> str:
    return token.piece.decode("utf-8", "replace")


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
        "uncut_tokens": usage.uncut_tokens or None,
        "seed": result.seed,
        "stop": result.stop,
    }
    return {key: value for key, value in known.items() if value is not None}
