"""The tools that an agent asks for text: generate and chat."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, TypeVar

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult

from mcp_llama.api import ChatRequest, GenerateRequest, Limits, Result
from mcp_llama.backends.backend import Backend
from mcp_llama.engine.generation import Generation
from mcp_llama.errors import RequestError
from mcp_llama.server.arguments import (
    Choice,
    Flag,
    Grammar,
    JsonSchema,
    Logprobs,
    MaxTimeS,
    MaxTokens,
    Messages,
    Model,
    N,
    Number,
    ReasoningBudget,
    Regex,
    Sampling,
    SamplingAsAbove,
    Seed,
    Stop,
    TemplateOptions,
    Text,
    ToolList,
    merged,
)
from mcp_llama.server.chat_wire import choice_of, tools_of
from mcp_llama.server.client_watch import while_client_listens
from mcp_llama.server.format_wire import named_format
from mcp_llama.server.heartbeat import beating_until_held
from mcp_llama.server.progress import Progress
from mcp_llama.server.results import ChatOut, TextOut, text_result
from mcp_llama.server.settings import ServerLimits
from mcp_llama.server.several import each, entered
from mcp_llama.server.tool import make_tool
from mcp_llama.server.wire import choice_samplings

_Request = TypeVar("_Request", GenerateRequest, ChatRequest)


class TextTools:
    """`generate` and `chat`: they stream through progress notifications and end with the whole text."""

    def __init__(self, backend: Backend, limits: ServerLimits) -> None:
        self._backend = backend
        self._limits = limits

    def tools(self) -> list[Tool]:
        """Both tools; their defaults are the server's limits."""
        tools = [self._generate(), self._chat()]
        for tool in tools:
            # Not a default of the function, which must know whether the caller gave one.
            tool.parameters["properties"]["max_tokens"]["default"] = self._limits.max_tokens
        return tools

    def _generate(self) -> Tool:
        default_time = self._limits.max_time_s

        async def generate(
            context: Context,
            prompt: Text,
            max_tokens: MaxTokens = None,
            temperature: Number = None,
            top_p: Number = None,
            seed: Seed = None,
            stop: Stop = [],  # noqa: B006 - pydantic copies it
            max_time_s: MaxTimeS = default_time,
            json_schema: JsonSchema = None,
            regex: Regex = "",
            grammar: Grammar = "",
            logprobs: Logprobs = None,
            n: N = 1,
            sampling: Sampling = {},  # noqa: B006
            model: Model = "",
        ) -> Annotated[CallToolResult, TextOut]:
            request = GenerateRequest(
                prompt=prompt,
                model=model or None,
                limits=self._limits_of(max_tokens, max_time_s, stop),
                sampling=merged(sampling, temperature=temperature, top_p=top_p, seed=seed),
                top_logprobs=logprobs,
                format=named_format(json_schema, regex or None, grammar or None),
            )
            return await self._run(context, request, n, self._backend.generate)

        return make_tool(
            generate,
            "Continue a raw text with the local model, without a chat template. "
            "Free and private; costs time in proportion to max_tokens. Prefer chat for questions.",
        )

    def _chat(self) -> Tool:
        default_time = self._limits.max_time_s

        async def chat(
            context: Context,
            messages: Messages,
            max_tokens: MaxTokens = None,
            temperature: Number = None,
            top_p: Number = None,
            seed: Seed = None,
            stop: Stop = [],  # noqa: B006
            max_time_s: MaxTimeS = default_time,
            tools: ToolList = [],  # noqa: B006
            tool_choice: Choice = "auto",
            parallel_tool_calls: Flag = None,
            json_schema: JsonSchema = None,
            regex: Regex = "",
            grammar: Grammar = "",
            reasoning_budget: ReasoningBudget = None,
            chat_template_kwargs: TemplateOptions = {},  # noqa: B006
            logprobs: Logprobs = None,
            n: N = 1,
            sampling: SamplingAsAbove = {},  # noqa: B006
            model: Model = "",
        ) -> Annotated[CallToolResult, ChatOut]:
            request = ChatRequest(
                messages=tuple(message.message() for message in messages),
                model=model or None,
                limits=self._limits_of(max_tokens, max_time_s, stop),
                sampling=merged(sampling, temperature=temperature, top_p=top_p, seed=seed),
                top_logprobs=logprobs,
                format=named_format(json_schema, regex or None, grammar or None),
                tools=tools_of(tools),
                tool_choice=choice_of(tool_choice),
                parallel_tool_calls=parallel_tool_calls,
                reasoning_budget=reasoning_budget,
                template_options=chat_template_kwargs,
            )
            return await self._run(context, request, n, self._backend.chat)

        return make_tool(
            chat,
            "Ask the local model. Free and private; costs time in proportion to max_tokens. It sees only these "
            "messages. It does not run tools: their calls are in the result. A last assistant message is continued: "
            "with finish_reason length or time, call again with the text so far.",
        )

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
        request: _Request,
        n: int,
        prepare: Callable[[_Request], Awaitable[Generation]],
    ) -> CallToolResult:
        loaded = self._backend.status(request.model).state == "ready"
        progress = Progress(context, self._limits, "queue" if loaded else "load")
        async with while_client_listens(context, progress, self._limits.stall_timeout):
            await progress.begin()
            async with beating_until_held(
                self._backend,
                request.model,
                progress,
                interval_s=self._limits.heartbeat_s,
                patience_s=request.limits.max_time_s or self._limits.max_time_s,
            ) as model:
                self._check_number(model, n)
                samplings = choice_samplings(request.sampling, n)
                request = replace(request, model=model, streamed=progress.is_wanted)
                generations = [await prepare(replace(request, sampling=sampling)) for sampling in samplings]
            progress.enter_queue(sum(generation.total_tokens for generation in generations), n)
            results = await self._stream(generations, progress)
        return text_result(results, model)

    def _check_number(self, model: str, n: int) -> None:
        card = self._backend.status(model).card
        if card is not None and n > card.max_requests:
            raise RequestError(f"n is {n}, but this server takes {card.max_requests} requests at once. Lower n.")

    async def _stream(self, generations: Sequence[Generation], progress: Progress) -> list[Result]:
        """Report all generations until the last one has ended."""
        async with entered(generations):
            return await each(partial(self._stream_one, progress), list(enumerate(generations)))

    async def _stream_one(self, progress: Progress, numbered: tuple[int, Generation]) -> Result:
        choice, generation = numbered
        try:
            while True:
                delta = await generation.next(self._limits.heartbeat_s)
                await (progress.beat() if delta is None else progress.advance(delta, choice))
        except StopAsyncIteration:
            return await generation.result()
