"""From the bodies of `/v1` requests to generations."""

from collections.abc import Awaitable, Callable

from mcp_llama.api import ChatRequest, GenerateRequest
from mcp_llama.backends.backend import Backend
from mcp_llama.engine.generation import Generation
from mcp_llama.errors import RequestError
from mcp_llama.server.blame import blaming
from mcp_llama.server.chat_wire import choice_of, tools_of
from mcp_llama.server.openai.choices import Choice
from mcp_llama.server.openai.requests import MAX_N, ChatIn, CompletionIn, GenerationIn
from mcp_llama.server.wire import choice_samplings, limits


async def completion_choices(backend: Backend, model: str, body: CompletionIn) -> list[Choice]:
    """`n` choices for each prompt.

    Raises:
        RequestError: a prompt cannot be served as it is, or there are too many.
    """
    prompts = body.prompts()
    _check_number(backend, model, len(prompts) * body.choices)
    choices: list[Choice] = []
    for prompt in prompts:

        async def generate(sampling: dict[str, object], prompt: str | tuple[int, ...] = prompt) -> Generation:
            request = GenerateRequest(
                prompt=prompt,
                model=model,
                limits=limits(body, body.max_tokens, None, body.stop),
                sampling=sampling,
                top_logprobs=body.logprobs,
                format=body.format,
                streamed=bool(body.stream),
            )
            with blaming(body):
                return await backend.generate(request)

        echo = await _text(backend, model, prompt) if body.echo else ""
        choices += [
            Choice(len(choices) + number, generation, echo)
            for number, generation in enumerate(await _generations(body, generate))
        ]
    return choices


async def chat_choices(backend: Backend, model: str, body: ChatIn) -> list[Choice]:
    """`n` choices of an answer.

    Raises:
        RequestError: the messages cannot be served as they are.
    """
    _check_number(backend, model, body.choices)
    max_tokens = body.max_completion_tokens if body.max_tokens is None else body.max_tokens
    messages = tuple(message.message() for message in body.messages)
    tools = tools_of(body.tools)

    async def chat(sampling: dict[str, object]) -> Generation:
        request = ChatRequest(
            messages=messages,
            model=model,
            limits=limits(body, max_tokens, None, body.stop),
            sampling=sampling,
            top_logprobs=(body.top_logprobs or 0) if body.logprobs else None,
            format=body.format,
            tools=tools,
            tool_choice=choice_of(body.tool_choice),
            parallel_tool_calls=body.parallel_tool_calls,
            reasoning_budget=body.reasoning_budget,
            reasoning_effort=body.reasoning_effort,
            template_options=body.chat_template_kwargs or {},
            split_reasoning=body.reasoning_format != "none",
            streamed=bool(body.stream),
        )
        with blaming(body, tools):
            return await backend.chat(request)

    return [Choice(number, generation) for number, generation in enumerate(await _generations(body, chat))]


def _check_number(backend: Backend, model: str, choices: int) -> None:
    card = backend.status(model).card
    most = min(MAX_N, card.max_requests) if card is not None else MAX_N
    if not 1 <= choices <= most:
        raise RequestError(f"The request asks for {choices:,} choices (prompts times n); it may ask for 1 to {most}.")


async def _generations(
    body: GenerationIn, generate: Callable[[dict[str, object]], Awaitable[Generation]]
) -> list[Generation]:
    """One generation for each choice."""
    return [await generate(sampling) for sampling in choice_samplings(body.sampling(), body.choices)]


async def _text(backend: Backend, model: str, prompt: str | tuple[int, ...]) -> str:
    if isinstance(prompt, str):
        return prompt
    return b"".join(await backend.pieces(prompt, model)).decode("utf-8", "replace")
