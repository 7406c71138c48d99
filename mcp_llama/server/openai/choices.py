"""Choices: the generations that one `/v1` request asks for, streamed or collected."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from mcp_llama.api import Result, Usage
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.types import TokenDelta
from mcp_llama.server.answers import check_complete
from mcp_llama.server.openai.formats import Envelope, Format, Json, timings_of, usage_of
from mcp_llama.server.openai.requests import GenerationIn
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
        results: dict[int, Result] = {}

        async def run(choice: Choice) -> None:
            results[choice.index] = await self._stream_one(events, choice)

        async with _entered(self._choices):
            await events.begin()
            await _each(run, self._choices)
        if self._body.includes_usage:
            usage = usage_of([results[index] for index in sorted(results)], self._body.choices)
            await events.send(self._envelope.chunk([], usage=usage))

    async def whole(self) -> Json:
        """All as one body."""
        results: dict[int, Result] = {}

        async def run(choice: Choice) -> None:
            results[choice.index] = check_complete(await choice.generation.result())

        async with _entered(self._choices):
            await _each(run, self._choices)
        whole = [self._whole_one(choice, results[choice.index]) for choice in self._choices]
        usage = usage_of([results[choice.index] for choice in self._choices], self._body.choices)
        return self._envelope.whole(whole, usage=usage, timings=_final_timings(results[0]))

    async def _stream_one(self, events: Events, choice: Choice) -> Result:
        opening = self._form.opening(choice.echo)
        if opening is not None:
            await events.send(self._chunk(choice, opening))
        progress = PromptProgress(choice.generation.request)
        async for delta in choice.generation:
            if self._body.return_progress and (news := progress.advance(delta)) is not None:
                await events.send(self._chunk(choice, self._form.piece("", None), prompt_progress=news))
            await self._stream_delta(events, choice, delta)
        result = check_complete(await choice.generation.result())
        last = self._chunk(choice, self._form.piece("", None), result.finish_reason, timings=_final_timings(result))
        await events.send(last)
        return result

    async def _stream_delta(self, events: Events, choice: Choice, delta: TokenDelta) -> None:
        more: dict[str, Any] = {}
        if self._body.timings_per_token and delta.completion_tokens:
            more["timings"] = _timings_so_far(choice.generation, delta)
        if delta.text or delta.logprobs:
            logprobs = None if choice.generation.request.top_logprobs is None else delta.logprobs
            await events.send(self._chunk(choice, self._form.piece(delta.text, logprobs), **more))

    def _chunk(self, choice: Choice, piece: Json, finish_reason: str | None = None, **more: Any) -> Json:
        return self._envelope.chunk(
            [{"index": choice.index, **piece, "finish_reason": finish_reason}], **self._usage, **more
        )

    def _whole_one(self, choice: Choice, result: Result) -> Json:
        logprobs = None if choice.generation.request.top_logprobs is None else result.logprobs
        whole = self._form.whole(choice.echo, result.text, logprobs)
        return {"index": choice.index, **whole, "finish_reason": result.finish_reason}


@asynccontextmanager
async def _entered(choices: Sequence[Choice]) -> AsyncGenerator[None]:
    """All generations submitted; none of them goes on after the body."""
    async with AsyncExitStack() as stack:
        for choice in choices:
            await stack.enter_async_context(choice.generation)
        yield


async def _each(run: Any, choices: Sequence[Choice]) -> None:
    try:
        async with anyio.create_task_group() as tasks:
            for choice in choices:
                tasks.start_soon(run, choice)
    except ExceptionGroup as group:
        # One failure fails the request; the others are the same one, or came of it.
        raise group.exceptions[0] from None


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
