"""What a caller asks and what a caller gets, whichever door it came through."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FinishReason = Literal["stop", "length", "time", "tool_calls", "abort"]
Role = Literal["system", "user", "assistant", "tool"]
FormatKind = Literal["json_schema", "json_object", "regex", "gbnf", "lark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where a generation ends.

    `max_tokens` None means `default_max_tokens`, or less if the context has less left; None for both means all that
    the context has left. `max_time_s` counts from the request's arrival; None means no limit.
    """

    max_tokens: int | None = None
    default_max_tokens: int | None = 512
    max_time_s: float | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """What a text must be. `definition` is a JSON schema, a regular expression or a grammar; none for json_object."""

    kind: FormatKind
    definition: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """Continue `prompt`, a text or tokens, as it is, without a chat template.

    `sampling` overrides the model's own defaults. `top_logprobs` asks for log probabilities: of the sampled tokens
    (0), and of so many of the likeliest ones. `arrival` is in `time.monotonic()` seconds. Unless `streamed`, nothing
    comes before the end.
    """

    prompt: str | tuple[int, ...]
    model: str | None = None
    limits: Limits = field(default_factory=Limits)
    sampling: Mapping[str, object] = field(default_factory=dict[str, object])
    top_logprobs: int | None = None
    format: OutputFormat | None = None
    streamed: bool = True
    arrival: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may ask its caller to run. `parameters` is the JSON schema of its arguments.

    With `strict`, a schema that cannot be enforced to the letter is refused; without, it is relaxed, and that is told.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """The model's wish to have a tool run. `arguments` is the JSON text of an object."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class NamedTool:
    """The choice of one tool, which must be called."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a chat. One of the role tool answers the call `tool_call_id` of the tool `name`."""

    role: Role
    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """Answer `messages` through the model's chat template. A trailing assistant message is continued.

    `sampling`, `top_logprobs`, `format`, `streamed` and `arrival` are as in GenerateRequest. `parallel_tool_calls` None
    means as the model is used to. `reasoning_budget` is in tokens, None means the server's. `reasoning_effort` is
    "none" or what the chat template calls it, `template_options` are variables of the template. Without
    `split_reasoning` the reasoning stays in the text.
    """

    messages: tuple[Message, ...]
    model: str | None = None
    limits: Limits = field(default_factory=Limits)
    sampling: Mapping[str, object] = field(default_factory=dict[str, object])
    top_logprobs: int | None = None
    format: OutputFormat | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    reasoning_budget: int | None = None
    reasoning_effort: str | None = None
    template_options: Mapping[str, object] = field(default_factory=dict[str, object])
    split_reasoning: bool = True
    streamed: bool = True
    arrival: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest:
    """Turn each of `texts`, a text or tokens, into a vector. `arrival` is in `time.monotonic()` seconds."""

    texts: tuple[str | tuple[int, ...], ...]
    model: str | None = None
    arrival: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class RankedToken:
    """A token, its bytes, and the natural logarithm of its probability."""

    token: int
    piece: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A sampled token and the likeliest ones at its place, in the model's distribution before any sampling option.

    `offset` is where its text begins, in characters of the completion.
    """

    sampled: RankedToken
    top: tuple[RankedToken, ...]
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts. `cached_tokens` are part of `prompt_tokens`: their state was reused, not computed.

    `reasoning_tokens` are part of `completion_tokens`. `uncut_tokens` of the prompt were computed again, because this
    model's memory can not be cut behind them.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int = 0
    uncut_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds from the request's arrival. `queue_s` ends when the sequence gets a slot, `ttft_s` at its first token."""

    queue_s: float
    ttft_s: float | None
    total_s: float

    def decode_tokens_per_second(self, completion_tokens: int) -> float | None:
        """The rate after the first token, or None when fewer than two tokens were sampled."""
        if self.ttft_s is None or completion_tokens < 2 or self.total_s <= self.ttft_s:
            return None
        return (completion_tokens - 1) / (self.total_s - self.ttft_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The complete outcome of one request. `stop` is the stop string that matched, if one did.

    `parsed` is the value of a text that had to be JSON and is complete. `notes` are for the caller to read: what of
    the request could be kept only in part, or what the outcome lacks.
    """

    text: str
    finish_reason: FinishReason
    stop: str | None
    seed: int
    usage: Usage
    timings: Timings
    logprobs: tuple[TokenLogprob, ...] = ()
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    parsed: object = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A loaded model. `size` in bytes; `n_ctx` is the context of one of its `n_slots` sequences, in tokens.

    `max_requests` is how many requests it takes at once, those included that wait for a slot.
    """

    name: str
    architecture: str
    parameters: int
    quantisation: str
    size: int
    n_ctx_train: int
    n_ctx: int
    n_slots: int
    max_requests: int
    license: str | None
    chat_template: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """A served model and how far it is. `loaded` goes from 0 to 1; `card` is there once it is 'ready'.

    One that is 'unloaded' is loaded when a request names it.
    """

    name: str
    state: Literal["unloaded", "loading", "ready", "failed"]
    loaded: float
    error: str | None = None
    card: ModelCard | None = None
