"""The bodies of `/v1` responses, as the OpenAPI document describes them."""

from typing import Literal

from pydantic import BaseModel, Field

from mcp_llama.server.wire import Wire

FinishReasonOut = Literal["stop", "length", "time", "tool_calls"]


class PromptDetailsOut(BaseModel):
    """What part of the prompt was reused."""

    cached_tokens: int


class CompletionDetailsOut(BaseModel):
    """What part of the completion is reasoning."""

    reasoning_tokens: int


class UsageOut(BaseModel):
    """Token counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetailsOut
    completion_tokens_details: CompletionDetailsOut


class TimingsOut(BaseModel):
    """llama.cpp's timings: tokens, milliseconds and rates of prompt and completion."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float | None
    prompt_per_second: float | None
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float | None
    predicted_per_second: float | None


class TopLogprobOut(BaseModel):
    """A token that could have been sampled."""

    token: str
    logprob: float
    bytes: list[int]


class LogprobOut(TopLogprobOut):
    """A token that was sampled."""

    top_logprobs: list[TopLogprobOut]


class ChatLogprobsOut(BaseModel):
    """Log probabilities of the tokens of a message."""

    content: list[LogprobOut]
    refusal: None = None


class CompletionLogprobsOut(BaseModel):
    """Log probabilities of the tokens of a completion, a list for each property."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class CompletionChoiceOut(BaseModel):
    """One completion of one prompt."""

    index: int
    text: str
    logprobs: CompletionLogprobsOut | None
    finish_reason: FinishReasonOut
    notes: list[str] | None = Field(None, description="What of the request is kept only in part, or the text lacks.")


class FunctionCallOut(BaseModel):
    """What to call; `arguments` is the JSON text of an object."""

    name: str
    arguments: str


class ToolCallOut(BaseModel):
    """A wish of the model to have a tool run."""

    id: str
    type: Literal["function"]
    function: FunctionCallOut


class MessageOut(BaseModel):
    """The answer; no content where there are only tool calls."""

    role: Literal["assistant"]
    content: str | None
    refusal: None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallOut] | None = None


class ChatChoiceOut(BaseModel):
    """One answer."""

    index: int
    message: MessageOut
    logprobs: ChatLogprobsOut | None
    finish_reason: FinishReasonOut
    notes: list[str] | None = Field(None, description="What of the request is kept only in part, or the text lacks.")


class ResponseOut(BaseModel):
    """What completions and chat completions have in common. `timings` are those of the first choice."""

    id: str
    created: int
    model: str
    system_fingerprint: str
    usage: UsageOut
    timings: TimingsOut


class CompletionOut(ResponseOut):
    """The body of a completion."""

    object: Literal["text_completion"]
    choices: list[CompletionChoiceOut]


class ChatCompletionOut(ResponseOut):
    """The body of a chat completion."""

    object: Literal["chat.completion"]
    choices: list[ChatChoiceOut]


class EmbeddingOut(BaseModel):
    """One vector, as numbers or as base64 of little-endian 32-bit floats."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsUsageOut(BaseModel):
    """Token counts of a request for vectors."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsOut(BaseModel):
    """The body of a response with vectors."""

    object: Literal["list"]
    model: str
    data: list[EmbeddingOut]
    usage: EmbeddingsUsageOut


class ModelMetaOut(BaseModel):
    """What is known of a loaded model."""

    n_ctx: int
    n_ctx_train: int
    n_params: int
    size: int


class ModelStatusOut(Wire):
    """Whether a model is loaded, in llama-server's words; `loaded` is the share of it, `error` why it failed."""

    value: Literal["unloaded", "loading", "loaded"]
    loaded: float
    failed: bool = False
    error: str | None = None


class ModelOut(Wire):
    """A served model, which is loaded when a request names it; `meta` is there once it is."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    status: ModelStatusOut
    meta: ModelMetaOut | None


class ModelsOut(BaseModel):
    """All served models."""

    object: Literal["list"]
    data: list[ModelOut]
