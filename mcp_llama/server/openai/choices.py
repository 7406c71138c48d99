"""Choices: the generations that one `/v1` request asks for, streamed or collected."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mcp_llama.api import Result, Usage
from mcp_llama.chat.delta import ChatDelta
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.types import TokenDelta
from mcp_llama.server.answers import check_complete
from mcp_llama.server.openai.formats import Envelope, Format, Json, timings_of, usage_of
from mcp_llama.server.openai.requests import GenerationIn
from mcp_llama.server.several import each, entered
from mcp_llama.server.sse import Events
from mcp_llama.server.wire import PromptProgress


@dataclass(frozen=True, slots=True)
class Choice:
    """One generation; `echo` is the prompt where the caller wants to have it back."""

    index: int
    generation: Generation
    echo: str = ""


class Choices:
    """All generations of one request. Those of one prompt follow each other, and share its prefill."""

    def __init__(self, body: GenerationIn, model: str, form: Format, choices: Sequence[Choice]) -> None:
        self._body = body
        self._form = form
        self._envelope = Envelope(model, form)
        self._choices = choices
        # A stream that is to end with its usage has the field in every chunk.
        self._usage: Json = {"usage": None} if body.includes_usage else {}

    async def stream(self, events: Events) -> None:
        """Send all as chunks, each choice's in order."""
        async with entered([choice.generation for choice in self._choices]):
            await events.begin()
            results = await each(partial(self._stream_one, events), self._choices)
        if self._body.includes_usage:
            await events.send(self._envelope.chunk([], usage=usage_of(results, self._body.choices)))

    async def whole(self) -> Json:
        """All as one body."""

        async def run(choice: Choice) -> Result:
            return check_complete(await choice.generation.result())

        async with entered([choice.generation for choice in self._choices]):
            results = await each(run, self._choices)
        whole = [self._whole_one(choice, result) for choice, result in zip(self._choices, results, strict=True)]
        usage = usage_of(results, self._body.choices)
        return self._envelope.whole(whole, usage=usage, timings=_final_timings(results[0]))

    async def _stream_one(self, events: Events, choice: Choice) -> Result:
        opening = self._form.opening(choice.echo)
        if opening is not None:
            await events.send(self._chunk(choice, opening))
        progress = PromptProgress(choice.generation.request)
        async for delta in choice.generation:
            if self._body.return_progress and (news := progress.advance(delta)) is not None:
                await events.send(self._chunk(choice, self._form.piece(None, None), prompt_progress=news))
            await self._stream_delta(events, choice, delta)
        result = check_complete(await choice.generation.result())
        last = {**self._form.piece(None, None), **_notes(result)}
        await events.send(self._chunk(choice, last, result.finish_reason, timings=_final_timings(result)))
        return result

    async def _stream_delta(self, events: Events, choice: Choice, delta: TokenDelta) -> None:
        more: dict[str, Any] = {}
        if self._body.timings_per_token and delta.completion_tokens:
            more["timings"] = _timings_so_far(choice.generation, delta)
        if delta.text or delta.logprobs or (isinstance(delta, ChatDelta) and (delta.reasoning or delta.tool_calls)):
            logprobs = None if choice.generation.request.top_logprobs is None else delta.logprobs
            first, *rest = _by_calls(delta)
            await events.send(self._chunk(choice, self._form.piece(first, logprobs), **more))
            for piece in rest:
                await events.send(self._chunk(choice, self._form.piece(piece, None)))

    def _chunk(self, choice: Choice, piece: Json, finish_reason: str | None = None, **more: Any) -> Json:
        return self._envelope.chunk(
            [{"index": choice.index, **piece, "finish_reason": finish_reason}], **self._usage, **more
        )

    def _whole_one(self, choice: Choice, result: Result) -> Json:
        logprobs = None if choice.generation.request.top_logprobs is None else result.logprobs
        whole = {**self._form.whole(choice.echo, result, logprobs), **_notes(result)}
        return {"index": choice.index, **whole, "finish_reason": result.finish_reason}


def _by_calls(delta: TokenDelta) -> list[TokenDelta]:
    """The delta in parts with one piece of a tool call each: some clients join those of different chunks only."""
    if not isinstance(delta, ChatDelta) or len(delta.tool_calls) < 2:
        return [delta]
    bare = replace(delta, text="", reasoning="")
    parts = [replace(bare, tool_calls=(piece,)) for piece in delta.tool_calls]
    return [replace(delta, tool_calls=parts[0].tool_calls), *parts[1:]]


def _notes(result: Result) -> Json:
    return {"notes": list(result.notes)} if result.notes else {}


def _final_timings(result: Result) -> Json:
    timings = result.timings
    first = timings.total_s if timings.ttft_s is None else timings.ttft_s
    return timings_of(result.usage, timings.queue_s, first, timings.total_s)


def _timings_so_far(generation: Generation, delta: TokenDelta) -> Json:
    now = time.monotonic()
    usage = Usage(
        prompt_tokens=len(generation.request.prompt),
        cached_tokens=delta.cached_tokens,
        completion_tokens=delta.completion_tokens,
    )
    admitted = now if delta.admitted is None else delta.admitted
    return timings_of(usage, admitted, now if delta.first_token is None else delta.first_token, now)
