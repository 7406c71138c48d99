"""The routes of `/v1`."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from mcp_llama.api import ModelStatus
from mcp_llama.backends.backend import Backend
from mcp_llama.errors import UnknownModelError
from mcp_llama.server.answers import Answers
from mcp_llama.server.loading import held_model
from mcp_llama.server.openai.choices import Choices
from mcp_llama.server.openai.embeddings import embed
from mcp_llama.server.openai.formats import ChatFormat, CompletionFormat
from mcp_llama.server.openai.generations import chat_choices, completion_choices
from mcp_llama.server.openai.requests import ChatIn, CompletionIn, EmbeddingsIn
from mcp_llama.server.openai.responses import ChatCompletionOut, CompletionOut, EmbeddingsOut, ModelOut, ModelsOut
from mcp_llama.server.openapi import FAILURES, events_or
from mcp_llama.server.sse import Events

_STARTED = int(time.time())


class OpenAIRoutes:
    """The routes."""

    def __init__(self, backend: Backend, answers: Answers) -> None:
        self._backend = backend
        self._answers = answers

    def router(self) -> APIRouter:
        """All of them."""
        router = APIRouter(prefix="/v1", tags=["openai"], responses=FAILURES)
        for path, route, body in (
            ("/completions", self.completions, CompletionOut),
            ("/chat/completions", self.chat_completions, ChatCompletionOut),
        ):
            responses = events_or(body)
            router.add_api_route(path, route, methods=["POST"], response_class=Response, responses=responses)
        router.add_api_route("/embeddings", self.embeddings, methods=["POST"], response_model=EmbeddingsOut)
        router.add_api_route("/models", self.models, methods=["GET"], response_model=ModelsOut)
        router.add_api_route("/models/{name:path}", self.model, methods=["GET"], response_model=ModelOut)
        return router

    async def completions(self, request: Request, body: CompletionIn) -> Response:
        """Continue one or more texts; the default `max_tokens` is 16, as OpenAI's."""

        async def prepare() -> Choices:
            async with held_model(self._backend, body.model) as model:
                return Choices(body, model, CompletionFormat(), await completion_choices(self._backend, model, body))

        return await self._answer(request, prepare, streams=bool(body.stream))

    async def chat_completions(self, request: Request, body: ChatIn) -> Response:
        """Answer messages through the model's chat template; a trailing assistant message is continued."""

        async def prepare() -> Choices:
            form = ChatFormat(calls=bool(body.tools))
            async with held_model(self._backend, body.model) as model:
                return Choices(body, model, form, await chat_choices(self._backend, model, body))

        return await self._answer(request, prepare, streams=bool(body.stream))

    async def embeddings(self, request: Request, body: EmbeddingsIn) -> Response:
        """Turn texts into vectors of length 1."""

        async def work() -> Response:
            async with held_model(self._backend, body.model) as model:
                return await embed(self._backend, model, body)

        return await self._answers.whole(request, work)

    async def models(self) -> Any:
        """The models that are served, the default one first; one that is not loaded is when a request names it."""
        return {"object": "list", "data": [_model(status) for status in await self._backend.models()]}

    async def model(self, name: str) -> Any:
        """One of them."""
        statuses = {status.name: status for status in await self._backend.models()}
        if name not in statuses:
            raise UnknownModelError(name, statuses)
        return _model(statuses[name])

    async def _answer(self, request: Request, prepare: Callable[[], Awaitable[Choices]], *, streams: bool) -> Response:
        async def produce(events: Events) -> None:
            await (await prepare()).stream(events)

        async def work() -> dict[str, Any]:
            return await (await prepare()).whole()

        return self._answers.stream(produce) if streams else JSONResponse(await self._answers.whole(request, work))


def _model(status: ModelStatus) -> dict[str, Any]:
    card = status.card
    meta = card and {
        "n_ctx": card.n_ctx,
        "n_ctx_train": card.n_ctx_train,
        "n_params": card.parameters,
        "size": card.size,
    }
    return {
        "id": status.name,
        "object": "model",
        "created": _STARTED,
        "owned_by": "mcp-llama",
        "status": _status(status),
        "meta": meta,
    }


def _status(status: ModelStatus) -> dict[str, Any]:
    value = {"ready": "loaded", "failed": "unloaded"}.get(status.state, status.state)
    failure = {} if status.error is None else {"failed": True, "error": status.error}
    return {"value": value, "loaded": status.loaded, **failure}
