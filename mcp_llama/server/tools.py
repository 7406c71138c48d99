"""The tools that an agent sees: generate, chat, models, count_tokens."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from mcp_llama.api import ChatRequest, GenerateRequest, Limits, Message, Result
from mcp_llama.backends.backend import Backend
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.sampling import MAX_SEED
from mcp_llama.errors import RequestError, UnavailableError
from mcp_llama.server.client_watch import while_client_listens
from mcp_llama.server.progress import Progress
from mcp_llama.server.results import (
    ModelsOut,
    TextOut,
    TokenCountOut,
    model_out,
    structured_result,
    text_result,
)
from mcp_llama.server.settings import ServerLimits
from mcp_llama.server.tool import make_tool

_SAMPLING = (
    "More llama.cpp options: top_k, min_p, typical_p, top_n_sigma, xtc_*, dry_*, mirostat*, dynatemp_*, "
    "repeat_penalty, repeat_last_n, presence_penalty, frequency_penalty, logit_bias, ignore_eos."
)

MaxTokens = Annotated[int | None, Field(ge=1), WithJsonSchema({"type": "integer", "minimum": 1})]
MaxTimeS = Annotated[float, Field(gt=0, le=86_400, description="End after this time with the text so far.")]
Temperature = Annotated[float | None, WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100})]
TopP = Annotated[float | None, WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})]
Seed = Annotated[int | None, WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MAX_SEED})]
Stop = Annotated[list[str], Field(description="End before any of these strings.", max_length=16)]
Model = Annotated[str, Field(description="Default: the loaded model.")]
Sampling = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "description": _SAMPLING})]
SamplingAsAbove = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "description": "As in generate."})]


class MessageIn(BaseModel):
    """One turn of the chat."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class TextTools:
    """`generate` and `chat`: they stream through progress notifications and end with the whole text."""

    def __init__(self, backend: Backend, limits: ServerLimits) -> None:
        self._backend = backend
        self._limits = limits

    def tools(self) -> list[Tool]:
        """Both tools; their defaults are the server's limits."""
        default_time = self._limits.max_time_s

        async def generate(
            context: Context,
            prompt: str,
            max_tokens: MaxTokens = None,
            temperature: Temperature = None,
            top_p: TopP = None,
            seed: Seed = None,
            stop: Stop = [],  # noqa: B006 - pydantic copies it
            max_time_s: MaxTimeS = default_time,
            sampling: Sampling = {},  # noqa: B006
            model: Model = "",
        ) -> Annotated[CallToolResult, TextOut]:
            request = GenerateRequest(
                prompt=prompt,
                model=model or None,
                limits=self._limits_of(max_tokens, max_time_s, stop),
                sampling=_merged(sampling, temperature=temperature, top_p=top_p, seed=seed),
            )
            return await self._run(context, request, lambda: self._backend.generate(request))

        async def chat(
            context: Context,
            messages: list[MessageIn],
            max_tokens: MaxTokens = None,
            temperature: Temperature = None,
            top_p: TopP = None,
            seed: Seed = None,
            stop: Stop = [],  # noqa: B006
            max_time_s: MaxTimeS = default_time,
            sampling: SamplingAsAbove = {},  # noqa: B006
            model: Model = "",
        ) -> Annotated[CallToolResult, TextOut]:
            request = ChatRequest(
                messages=tuple(Message(role=message.role, content=message.content) for message in messages),
                model=model or None,
                limits=self._limits_of(max_tokens, max_time_s, stop),
                sampling=_merged(sampling, temperature=temperature, top_p=top_p, seed=seed),
            )
            return await self._run(context, request, lambda: self._backend.chat(request))

        tools = [
            make_tool(
                generate,
                "Continue a raw text with the local model, without a chat template. "
                "Free and private; costs time in proportion to max_tokens. Prefer chat for questions.",
            ),
            make_tool(
                chat,
                "Ask the local model. Free and private; costs time in proportion to max_tokens. It sees only these "
                "messages. A last assistant message is continued: with finish_reason length or time, "
                "call again with the text so far.",
            ),
        ]
        for tool in tools:
            # Not a default of the function, which must know whether the caller gave one.
            tool.parameters["properties"]["max_tokens"]["default"] = self._limits.max_tokens
        return tools

    def _limits_of(self, max_tokens: int | None, max_time_s: float, stop: list[str]) -> Limits:
        return Limits(
            max_tokens=max_tokens,
            default_max_tokens=self._limits.max_tokens,
            max_time_s=max_time_s,
            stop=tuple(stop),
        )

    async def _run(
        self,
        context: Context,
        request: GenerateRequest | ChatRequest,
        prepare: Callable[[], Awaitable[Generation]],
    ) -> CallToolResult:
        loaded = self._backend.models()[0].state == "ready"
        progress = Progress(context, self._limits, "queue" if loaded else "load")
        async with while_client_listens(context, progress, self._limits.stall_timeout):
            await progress.begin()
            await self._wait_for_model(request, progress)
            generation = await prepare()
            progress.enter_queue(generation.total_tokens)
            result = await self._stream(generation, progress)
        return text_result(result, request.model or self._backend.models()[0].name)

    async def _wait_for_model(self, request: GenerateRequest | ChatRequest, progress: Progress) -> None:
        """Wait, with signs of life, as long as the request may take.

        Raises:
            UnavailableError: the model is not loaded in time.
        """
        deadline = anyio.current_time() + (request.limits.max_time_s or self._limits.max_time_s)
        while True:
            with anyio.move_on_after(self._limits.heartbeat_s):
                await self._backend.ready(request.model)
                return
            if anyio.current_time() >= deadline:
                status = self._backend.models()[0]
                raise UnavailableError(f"the model is still loading ({status.loaded:.0%})", retry_after_s=10)
            await progress.beat()

    async def _stream(self, generation: Generation, progress: Progress) -> Result:
        async with generation:
            try:
                while True:
                    delta = await generation.next(self._limits.heartbeat_s)
                    await (progress.beat() if delta is None else progress.advance(delta))
            except StopAsyncIteration:
                return await generation.result()


class InfoTools:
    """`models` and `count_tokens`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def tools(self) -> list[Tool]:
        """Both tools."""
        return [
            make_tool(self.models, "List the models and how far they are loaded."),
            make_tool(
                self.count_tokens,
                "Count the tokens of a text, or of messages with their template, before spending them.",
            ),
        ]

    async def models(self) -> Annotated[CallToolResult, ModelsOut]:
        """The tool `models`."""
        statuses = self._backend.models()
        text = "\n".join(f"{status.name}: {model_out(status).state}" for status in statuses)
        return structured_result(text, ModelsOut(models=[model_out(status) for status in statuses]))

    async def count_tokens(
        self,
        text: str = "",
        messages: list[MessageIn] = [],  # noqa: B006
        model: Model = "",
    ) -> Annotated[CallToolResult, TokenCountOut]:
        """The tool `count_tokens`.

        Raises:
            RequestError: neither or both of text and messages are given.
        """
        if bool(text) == bool(messages):
            raise RequestError("Give either text or messages, and not both.")
        chat = [Message(role=message.role, content=message.content) for message in messages]
        tokens = await self._backend.count_tokens(text or chat, model or None)
        card = self._backend.models()[0].card
        assert card is not None, "counting waited for the model"
        out = TokenCountOut(tokens=tokens, n_ctx=card.n_ctx)
        return structured_result(f"{tokens} tokens; the context holds {card.n_ctx}.", out)


def _merged(sampling: dict[str, Any], **flat: float | None) -> dict[str, object]:
    given = {name: value for name, value in flat.items() if value is not None}
    for name in given:
        if name in sampling:
            raise RequestError(f"{name} is given twice, as an argument and in sampling. Remove one.")
    return {**sampling, **given}
