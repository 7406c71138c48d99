"""How `completions` and `chat/completions` write the same generations: chunks of a stream, and whole bodies."""

import secrets
import time
from collections.abc import Sequence
from typing import Any, Protocol

from mcp_llama import __version__
from mcp_llama.api import Result, TokenLogprob, Usage
from mcp_llama.engine.types import TokenDelta
from mcp_llama.server.deltas import Json, delta_json
from mcp_llama.server.openai.logprobs import chat_logprobs, completion_logprobs


class Format(Protocol):
    """One of the two. `echo` is the prompt, where the caller wants to have it back."""

    chunk_object: str
    whole_object: str
    id_prefix: str

    def opening(self, echo: str) -> Json | None:
        """What a choice begins with, before its first token."""
        ...

    def piece(self, delta: TokenDelta | None, logprobs: Sequence[TokenLogprob] | None) -> Json:
        """What is new of a choice, if anything is."""
        ...

    def whole(self, echo: str, result: Result, logprobs: Sequence[TokenLogprob] | None) -> Json:
        """The whole of a choice."""
        ...


class CompletionFormat:
    """`completions`: text."""

    chunk_object = whole_object = "text_completion"
    id_prefix = "cmpl-"

    def opening(self, echo: str) -> Json | None:
        """The echo, if there is one."""
        return _text(echo, None) if echo else None

    def piece(self, delta: TokenDelta | None, logprobs: Sequence[TokenLogprob] | None) -> Json:
        """New text."""
        return _text("" if delta is None else delta.text, logprobs)

    def whole(self, echo: str, result: Result, logprobs: Sequence[TokenLogprob] | None) -> Json:
        """The whole text."""
        return _text(echo + result.text, logprobs)


class ChatFormat:
    """`chat/completions`: a message of the assistant. There is no echo. `calls`: it may call tools."""

    chunk_object = "chat.completion.chunk"
    whole_object = "chat.completion"
    id_prefix = "chatcmpl-"

    def __init__(self, *, calls: bool) -> None:
        self._calls = calls

    def opening(self, echo: str) -> Json | None:
        """The role; where there may be calls, text may be missing."""
        return {"delta": {"role": "assistant", "content": None if self._calls else ""}, "logprobs": None}

    def piece(self, delta: TokenDelta | None, logprobs: Sequence[TokenLogprob] | None) -> Json:
        """New text, reasoning and pieces of tool calls."""
        new = {} if delta is None else delta_json(delta)
        return {"delta": new, "logprobs": None if logprobs is None else chat_logprobs(logprobs)}

    def whole(self, echo: str, result: Result, logprobs: Sequence[TokenLogprob] | None) -> Json:
        """The whole message."""
        return {"message": _message(result), "logprobs": None if logprobs is None else chat_logprobs(logprobs)}


def _text(text: str, logprobs: Sequence[TokenLogprob] | None) -> Json:
    return {"text": text, "logprobs": None if logprobs is None else completion_logprobs(logprobs)}


def _message(result: Result) -> Json:
    content = None if result.tool_calls and not result.text else result.text
    message: Json = {"role": "assistant", "content": content, "refusal": None}
    if result.reasoning:
        message["reasoning_content"] = result.reasoning
    if result.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in result.tool_calls
        ]
    return message


class Envelope:
    """What surrounds the choices of one response, the same in every chunk."""

    def __init__(self, model: str, form: Format) -> None:
        self._form = form
        self._head: Json = {
            "id": f"{form.id_prefix}{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": f"mcp-llama-{__version__}",
        }

    def chunk(self, choices: list[Json], **more: Any) -> Json:
        """A chunk of a stream."""
        return {**self._head, "object": self._form.chunk_object, "choices": choices, **more}

    def whole(self, choices: list[Json], **more: Any) -> Json:
        """A whole body."""
        return {**self._head, "object": self._form.whole_object, "choices": choices, **more}


def usage_of(results: Sequence[Result], n: int) -> Json:
    """The counts of all choices; the `n` choices of a prompt share it."""
    prompts = results[::n]
    prompt = sum(result.usage.prompt_tokens for result in prompts)
    completion = sum(result.usage.completion_tokens for result in results)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": sum(result.usage.cached_tokens for result in prompts)},
        "completion_tokens_details": {"reasoning_tokens": sum(result.usage.reasoning_tokens for result in results)},
    }


def timings_of(usage: Usage, admitted: float, first: float, now: float) -> Json:
    """llama.cpp's timings of a choice; the times are seconds from any one moment.

    The first token comes with the prompt: what is predicted in the time after it are the others.
    """
    computed, predicted = usage.prompt_tokens - usage.cached_tokens, max(0, usage.completion_tokens - 1)
    return {
        "cache_n": usage.cached_tokens,
        **({"uncut_n": usage.uncut_tokens} if usage.uncut_tokens else {}),
        "prompt_n": computed,
        **_pace("prompt", computed, first - admitted),
        "predicted_n": usage.completion_tokens,
        **_pace("predicted", predicted, now - first),
    }


def _pace(name: str, tokens: int, seconds: float) -> Json:
    known = tokens > 0 and seconds > 0
    return {
        f"{name}_ms": round(seconds * 1000, 3),
        f"{name}_per_token_ms": round(seconds * 1000 / tokens, 3) if known else None,
        f"{name}_per_second": round(tokens / seconds, 3) if known else None,
    }
