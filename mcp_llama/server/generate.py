"""`/generate` and `/generate/stream`: the token loop as plain HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from mcp_llama.api import GenerateRequest, Result
from mcp_llama.backends.backend import Backend
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.types import TokenDelta
from mcp_llama.server.answers import Answers, check_complete
from mcp_llama.server.blame import blaming
from mcp_llama.server.format_wire import FormatIn, named_format
from mcp_llama.server.loading import held_model
from mcp_llama.server.openapi import EVENTS, FAILURES
from mcp_llama.server.results import facts
from mcp_llama.server.security import refuse_embedding
from mcp_llama.server.sse import Events
from mcp_llama.server.wire import MAX_STOP, MaxTokens, PromptProgress, Stop, StructuredSamplingIn, TextIn, limits


class GenerateQueryIn(TextIn):
    """Arguments of `GET /generate/stream`."""

    prompt: str = Field(min_length=1)
    max_tokens: MaxTokens | None = Field(None, description="Default: a setting of the server.")
    stop: list[str] | None = Field(
        None, max_length=MAX_STOP, description="End before any of these strings; may be repeated."
    )


class GenerateIn(TextIn, StructuredSamplingIn, FormatIn):
    """Arguments of `POST /generate`: continue a text as it is, without a chat template."""

    prompt: str = Field(min_length=1)
    max_tokens: MaxTokens | None = Field(None, description="Default: a setting of the server.")
    stop: Stop = None


class GenerateUsageOut(BaseModel):
    """Token counts; `cached_tokens` are part of `prompt_tokens`."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


class GenerateTimingsOut(BaseModel):
    """Milliseconds since the request came, and the rate after the first token."""

    queue_ms: float
    ttft_ms: float | None
    total_ms: float
    tokens_per_second: float | None


class FinishOut(BaseModel):
    """How a generation ended. `stop` is the stop string that matched; `seed` repeats the text."""

    finish_reason: str
    stop: str | None
    model: str
    seed: int
    usage: GenerateUsageOut
    timings: GenerateTimingsOut
    parsed: Any = Field(None, description="The value of a text that had to be JSON.")
    notes: list[str] | None = Field(None, description="What of the request is kept only in part, or the text lacks.")


class GenerateOut(FinishOut):
    """A whole generation."""

    text: str


class GenerateRoutes:
    """The routes."""

    def __init__(self, backend: Backend, answers: Answers, default_max_tokens: int) -> None:
        self._backend = backend
        self._answers = answers
        self._default_max_tokens = default_max_tokens

    def router(self) -> APIRouter:
        """All of them."""
        router = APIRouter(tags=["generate"], responses=FAILURES)
        router.add_api_route(
            "/generate", self.generate, methods=["POST"], response_model=GenerateOut, response_model_exclude_unset=True
        )
        for method, route in (("POST", self.generate_stream), ("GET", self.generate_event_source)):
            router.add_api_route("/generate/stream", route, methods=[method], response_class=Response, responses=EVENTS)
        return router

    async def generate(self, request: Request, body: GenerateIn) -> Any:
        """Continue a text; the answer comes when it is complete."""

        async def work() -> dict[str, Any]:
            model, generation = await self._prepare(body, streamed=False)
            async with generation:
                result = check_complete(await generation.result())
            return {"text": result.text, **_finish(result, model)}

        return await self._answers.whole(request, work)

    async def generate_stream(self, body: GenerateIn) -> Response:
        """Continue a text, an event a token.

        Each `data:` is a JSON object: `{"text", "completion_tokens"}` for a token, `{"prompt_progress"}` if asked for,
        and last `{"finish_reason", "usage", "timings", ...}`. Then comes `[DONE]`, or an event `error` in its place.
        """
        return self._stream(body)

    async def generate_event_source(self, request: Request, query: Annotated[GenerateQueryIn, Query()]) -> Response:
        """The same for a browser's EventSource, which can only GET; other sites may not embed it."""
        refuse_embedding(request)
        return self._stream(query)

    async def _prepare(self, body: GenerateIn | GenerateQueryIn, *, streamed: bool) -> tuple[str, Generation]:
        with blaming(body if isinstance(body, GenerateIn) else None):
            async with held_model(self._backend, body.model) as model:
                return model, await self._backend.generate(self._request(body, model, streamed=streamed))

    def _request(self, body: GenerateIn | GenerateQueryIn, model: str, *, streamed: bool) -> GenerateRequest:
        return GenerateRequest(
            prompt=body.prompt,
            model=model,
            limits=limits(body, body.max_tokens, self._default_max_tokens, body.stop),
            sampling=body.sampling(),
            format=named_format(body.json_schema, body.regex, body.grammar) if isinstance(body, GenerateIn) else None,
            streamed=streamed,
        )

    def _stream(self, body: GenerateIn | GenerateQueryIn) -> Response:
        async def produce(events: Events) -> None:
            model, generation = await self._prepare(body, streamed=True)
            progress = PromptProgress(generation.request) if body.return_progress else None
            async with generation:
                await events.begin()
                async for delta in generation:
                    await _send(events, delta, progress)
                await events.send(_finish(check_complete(await generation.result()), model))

        return self._answers.stream(produce)


async def _send(events: Events, delta: TokenDelta, progress: PromptProgress | None) -> None:
    if progress is not None and (news := progress.advance(delta)) is not None:
        await events.send({"prompt_progress": news})
    if delta.completion_tokens and (delta.text or delta.finish is None):
        await events.send({"text": delta.text, "completion_tokens": delta.completion_tokens})


def _finish(result: Result, model: str) -> dict[str, Any]:
    timings = facts(result)
    return {
        "finish_reason": result.finish_reason,
        "stop": result.stop,
        "model": model,
        "seed": result.seed,
        "usage": {
            "prompt_tokens": result.usage.prompt_tokens,
            "cached_tokens": result.usage.cached_tokens,
            "completion_tokens": result.usage.completion_tokens,
        },
        **({} if result.parsed is None else {"parsed": result.parsed}),
        **({"notes": list(result.notes)} if result.notes else {}),
        "timings": {name: timings.get(name) for name in GenerateTimingsOut.model_fields},
    }
