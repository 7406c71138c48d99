"""LocalBackend: the models in this process."""

import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio.to_thread
from prometheus_client import CollectorRegistry

from mcp_llama.api import ChatRequest, EmbedRequest, GenerateRequest, Limits, ModelStatus
from mcp_llama.backends.grammar_thread import GrammarThread
from mcp_llama.backends.prompts import chat_tokens, check_tokens, prompt_tokens, reasoning_rule, tokenize
from mcp_llama.chat.answer import FormatReader
from mcp_llama.chat.plan import ChatDefaults, plan_chat, render_chat
from mcp_llama.engine.constraint import Constraint
from mcp_llama.engine.embedding import Embedding
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.grammar import Grammar, format_part, whole_text
from mcp_llama.engine.reasoning import ReasoningRule
from mcp_llama.engine.sampling import MAX_SEED
from mcp_llama.engine.types import TokenRequest
from mcp_llama.errors import RequestError
from mcp_llama.models.loader import LoadedModel
from mcp_llama.models.pool import ModelPool

_MAX_TOP_LOGPROBS = 20


class LocalBackend:
    """Serves the models of a pool, each through its engine. Satisfies `Backend`."""

    def __init__(self, pool: ModelPool, chat: ChatDefaults | None = None) -> None:
        self._pool = pool
        self._chat = chat or ChatDefaults()
        self._grammar_thread = GrammarThread()

    @property
    def metrics(self) -> CollectorRegistry:
        """What the engines count and measure."""
        return self._pool.metrics.registry

    @property
    def default_model(self) -> str:
        """The name of the model for requests that name none."""
        return self._pool.default

    def start(self) -> None:
        """Begin to load; returns at once."""
        self._pool.start()

    @asynccontextmanager
    async def hold(self, model: str | None) -> AsyncGenerator[str]:
        """Wait until the model can answer, and keep it; see `Backend.hold`."""
        async with self._pool.use(model, in_turn=True) as loaded:
            yield loaded.name

    async def ready(self, model: str | None) -> str:
        """Wait until the model can answer; see `Backend.ready`."""
        async with self.hold(model) as name:
            return name

    async def generate(self, request: GenerateRequest) -> Generation:
        """A handle for the request; see `Backend.generate`."""
        async with self._pool.use(request.model) as loaded:
            return await self._generation(loaded, request)

    async def chat(self, request: ChatRequest) -> Generation:
        """The same for a chat; see `Backend.chat`."""
        async with self._pool.use(request.model) as loaded:
            return await self._chat_generation(loaded, request)

    async def embed(self, request: EmbedRequest) -> Embedding:
        """A handle for vectors; see `Backend.embed`."""
        async with self._pool.use(request.model) as loaded:
            if not all(request.texts):
                raise RequestError("input holds an empty text. Leave it out.")
            texts = [await prompt_tokens(loaded, text) for text in request.texts]
            return loaded.engine.embed(texts, request.arrival)

    async def count_tokens(self, content: str | ChatRequest, model: str | None) -> int:
        """How many tokens a prompt, or a chat with its template, takes."""
        async with self._pool.use(model) as loaded:
            if isinstance(content, str):
                return len(await tokenize(loaded, content, add_special=True, parse_special=True))
            return len(await chat_tokens(loaded, await self._rendered(loaded, content)))

    async def tokenize(self, text: str, model: str | None, *, add_special: bool, parse_special: bool) -> Sequence[int]:
        """The tokens of a text; see `Backend.tokenize`."""
        async with self._pool.use(model) as loaded:
            return await tokenize(loaded, text, add_special=add_special, parse_special=parse_special)

    async def pieces(self, tokens: Sequence[int], model: str | None) -> list[bytes]:
        """The bytes of each token; see `Backend.pieces`."""
        async with self._pool.use(model) as loaded:
            check_tokens(loaded, tokens)
            return await anyio.to_thread.run_sync(partial(loaded.model.pieces, tokens))

    async def apply_template(self, request: ChatRequest) -> str:
        """The text that a chat becomes; see `Backend.apply_template`."""
        async with self._pool.use(request.model) as loaded:
            return await self._rendered(loaded, request)

    def status(self, model: str | None = None) -> ModelStatus:
        """How far a model is; see `Backend.status`."""
        return self._pool.status(model)

    async def models(self) -> list[ModelStatus]:
        """What is served; see `Backend.models`."""
        return await self._pool.statuses()

    def stop(self) -> None:
        """Refuse new requests, and end all others with what they have."""
        self._pool.stop()

    async def close(self) -> None:
        """Stop, and free all models."""
        self._grammar_thread.close()
        await self._pool.close()

    async def _generation(self, loaded: LoadedModel, request: GenerateRequest) -> Generation:
        tokens = await prompt_tokens(loaded, request.prompt)
        form = request.format
        if form is None:
            return loaded.engine.generate(_token_request(loaded, tokens, request))
        grammar = await self._grammar_thread.run(lambda: whole_text(format_part(form)))
        constraint = await self._compiled(loaded, grammar)
        token_request = _token_request(loaded, tokens, request, constraint=constraint)
        return loaded.engine.generate(token_request, FormatReader(form, (*grammar.relaxed, *constraint.warnings)))

    async def _chat_generation(self, loaded: LoadedModel, request: ChatRequest) -> Generation:
        plan = await anyio.to_thread.run_sync(plan_chat, request, loaded.chat_template, self._chat)
        tokens = await chat_tokens(loaded, plan.prompt)
        constraint = None if plan.grammar is None else await self._compiled(loaded, plan.grammar, plan.begun)
        reasoning = await reasoning_rule(loaded, plan)
        token_request = _token_request(loaded, tokens, request, constraint=constraint, reasoning=reasoning)
        return loaded.engine.generate(token_request, plan.reader(() if constraint is None else constraint.warnings))

    async def _rendered(self, loaded: LoadedModel, request: ChatRequest) -> str:
        return await anyio.to_thread.run_sync(render_chat, request, loaded.chat_template, self._chat)

    async def _compiled(self, loaded: LoadedModel, grammar: Grammar, begun: str = "") -> Constraint:
        """The constraint after the text that is there already."""
        return await self._grammar_thread.run(partial(_compile, loaded, grammar, begun))


def _token_request(
    loaded: LoadedModel,
    tokens: Sequence[int],
    request: GenerateRequest | ChatRequest,
    *,
    constraint: Constraint | None = None,
    reasoning: ReasoningRule | None = None,
) -> TokenRequest:
    return TokenRequest(
        prompt=tuple(tokens),
        max_tokens=_max_tokens(request.limits, loaded.engine.n_ctx - len(tokens)),
        sampling=loaded.model.default_sampling.override(_with_seed(request.sampling)),
        stop=_checked_stop(request.limits.stop),
        arrival=request.arrival,
        deadline=_deadline(request.limits, request.arrival),
        top_logprobs=_checked_logprobs(request.top_logprobs),
        constraint=constraint,
        reasoning=reasoning,
        streamed=request.streamed,
    )


def _compile(loaded: LoadedModel, grammar: Grammar, begun: str) -> Constraint:
    constraint = grammar.compile(loaded.constraints)
    if not constraint.advance(begun):
        raise RequestError(
            "The assistant message that is to be continued does not fit the format or the tools. "
            "Remove it, or send it as it was generated."
        )
    return constraint


def _max_tokens(limits: Limits, room: int) -> int:
    if limits.max_tokens is not None:
        return limits.max_tokens
    return max(1, room if limits.default_max_tokens is None else min(limits.default_max_tokens, room))


def _with_seed(options: Mapping[str, object]) -> dict[str, object]:
    seed = options.get("seed")
    return {**options, "seed": secrets.randbelow(MAX_SEED) if seed is None else seed}


def _checked_stop(stop: tuple[str, ...]) -> tuple[str, ...]:
    if "" in stop:
        raise RequestError("stop holds an empty string, which would end every answer at once. Remove it.")
    return stop


def _checked_logprobs(top: int | None) -> int | None:
    if top is not None and not 0 <= top <= _MAX_TOP_LOGPROBS:
        raise RequestError(f"top_logprobs is {top}, but it must be from 0 to {_MAX_TOP_LOGPROBS}.")
    return top


def _deadline(limits: Limits, arrival: float) -> float | None:
    if limits.max_time_s is None:
        return None
    if not limits.max_time_s > 0:
        raise RequestError(f"max_time_s is {limits.max_time_s}, but it must be more than 0.")
    return arrival + limits.max_time_s
