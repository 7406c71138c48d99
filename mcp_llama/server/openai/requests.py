"""The bodies of `/v1` requests.

Fields and meanings are OpenAI's, with llama.cpp's sampling options beside them. What this server cannot honour may
only hold a value that changes nothing.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator, model_validator
from pydantic_core import PydanticCustomError

from mcp_llama.api import OutputFormat
from mcp_llama.server.chat_wire import MessageIn, ToolChoiceIn, Tools
from mcp_llama.server.format_wire import FormatIn, ResponseFormat, named_format, response_format
from mcp_llama.server.validation import contradiction
from mcp_llama.server.wire import EmptyList, MaxTokens, Stop, StructuredSamplingIn, TextIn, Token, Wire

MAX_N = 128
MAX_INPUTS = 2048
_MAX_TOP_LOGPROBS = 20


def _one_sentence(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(value)
    except ValidationError as error:
        raise PydanticCustomError("texts", "it must be a text, tokens, or a list of texts or of tokens") from error


Texts = Annotated[str | list[str] | list[Token] | list[list[Token]], WrapValidator(_one_sentence)]


class StreamOptionsIn(Wire):
    """What a stream should carry beside its text."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False, None] = None


class GenerationIn(TextIn, StructuredSamplingIn, FormatIn):
    """What `completions` and `chat/completions` have in common."""

    max_tokens: MaxTokens | None = None
    n: int | None = Field(None, ge=1, le=MAX_N)
    stop: Stop = None
    stream: bool | None = None
    stream_options: StreamOptionsIn | None = None
    timings_per_token: bool | None = Field(None, description="Add `timings` to every chunk, not only to the last one.")
    user: str | None = Field(None, description="Accepted, and not used.")
    cache_prompt: Literal[True, None] = None
    response_format: ResponseFormat | None = None

    @property
    def choices(self) -> int:
        """How many completions of each prompt."""
        return self.n or 1

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with a chunk that counts the tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def format(self) -> OutputFormat | None:
        """What the text must be."""
        return response_format(self.response_format) or named_format(self.json_schema, self.regex, self.grammar)

    @model_validator(mode="after")
    def _check_stream_options(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise contradiction("stream_options", "stream_options is only for stream: true")
        return self


class CompletionIn(GenerationIn):
    """The body of `POST /v1/completions`."""

    prompt: Texts
    max_tokens: MaxTokens | None = 16
    best_of: int | None = Field(None, ge=1, le=MAX_N)
    echo: bool | None = None
    logprobs: int | None = Field(None, ge=0, le=_MAX_TOP_LOGPROBS)
    suffix: Literal["", None] = None

    @model_validator(mode="after")
    def _check_choices(self) -> Self:
        if self.best_of is not None and self.best_of != self.choices:
            raise contradiction("best_of", "best_of is not supported by this server; leave it out")
        if self.echo and self.logprobs is not None:
            raise contradiction("echo", "echo cannot go with logprobs; leave one of them out")
        return self

    def prompts(self) -> list[str | tuple[int, ...]]:
        """The prompts one by one, each a text or tokens."""
        return split_texts(self.prompt)


class ChatIn(GenerationIn):
    """The body of `POST /v1/chat/completions`."""

    messages: list[MessageIn] = Field(min_length=1)
    max_completion_tokens: MaxTokens | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=_MAX_TOP_LOGPROBS)
    metadata: dict[str, str] | None = Field(None, description="Accepted, and not used.")
    safety_identifier: str | None = Field(None, description="Accepted, and not used.")
    prompt_cache_key: str | None = Field(None, description="Accepted; every prefix is cached anyway.")
    prompt_cache_retention: str | None = Field(None, description="Accepted; what is cached stays as long as it can.")
    prompt_cache_options: dict[str, Any] | None = Field(None, description="Accepted, and not used.")
    verbosity: Literal["medium", None] = None
    store: Literal[False, None] = None
    service_tier: Literal["auto", "default", None] = None
    modalities: list[Literal["text"]] | None = None
    tools: Tools | None = None
    tool_choice: ToolChoiceIn | None = None
    parallel_tool_calls: bool | None = Field(None, description="Default: as the model is used to.")
    functions: EmptyList | None = Field(None, description="Older than `tools`, which is what to use.")
    function_call: Literal["none", "auto", None] = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = Field(
        None, description="none: do not reason. The others are for templates that know them."
    )
    reasoning_budget: int | None = Field(None, ge=0, description="The most tokens to reason; then the answer comes.")
    reasoning_format: Literal["auto", "deepseek", "none"] | None = Field(
        None, description="none: leave the reasoning in the content."
    )
    chat_template_kwargs: dict[str, Any] | None = Field(None, description="Variables for the chat template.")

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        given = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(given) > 1:
            raise contradiction("max_tokens", "max_tokens and max_completion_tokens differ; give one of them")
        if self.top_logprobs and not self.logprobs:
            raise contradiction("top_logprobs", "top_logprobs is only for logprobs: true")
        return self


class EmbeddingsIn(Wire):
    """The body of `POST /v1/embeddings`."""

    input: Texts
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1, description="May only be the model's own.")
    user: str | None = Field(None, description="Accepted, and not used.")


def split_texts(texts: Any) -> list[str | tuple[int, ...]]:
    """One text, several, the tokens of one or those of several, as a list."""
    if isinstance(texts, str):
        return [texts]
    if texts and isinstance(texts[0], int):
        return [tuple(texts)]
    return [text if isinstance(text, str) else tuple(text) for text in texts]
