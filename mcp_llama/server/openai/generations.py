"""From the bodies of `/v1` requests to generations."""

from collections.abc import Awaitable, Callable

from mcp_llama.api import ChatRequest, GenerateRequest
from mcp_llama.backends.backend import Backend
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.sampling import MAX_SEED
from mcp_llama.errors import RequestError
from mcp_llama.server.openai.choices import Choice
from mcp_llama.server.openai.requests import MAX_N, ChatIn, CompletionIn, GenerationIn
from mcp_llama.server.wire import limits


async def completion_choices(backend: Backend, model: str, body: CompletionIn) -> list[Choice]:
    """`n` choices for each prompt.

    Raises:
        RequestError: a prompt cannot be served as it is, or there are too many.
    """
    prompts = body.prompts()
    if not prompts or len(prompts) * body.choices > MAX_N:
        raise RequestError(
            f"{len(prompts)} prompts and n = {body.choices}: a request may have from 1 to {MAX_N} choices."
        )
    choices: list[Choice] = []
    for prompt in prompts:

        async def generate(sampling: dict[str, object], prompt: str | tuple[int, ...] = prompt) -> Generation:
            return await backend.generate(
                GenerateRequest(
                    prompt=prompt,
                    model=model,
                    limits=limits(body, body.max_tokens, None, body.stop),
                    sampling=sampling,
                    top_logprobs=body.logprobs,
                )
            )

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
    max_tokens = body.max_tokens or body.max_completion_tokens
    messages = tuple(message.message() for message in body.messages)

    async def chat(sampling: dict[str, object]) -> Generation:
        return await backend.chat(
            ChatRequest(
                messages=messages,
                model=model,
                limits=limits(body, max_tokens, None, body.stop),
                sampling=sampling,
                top_logprobs=(body.top_logprobs or 0) if body.logprobs else None,
            )
        )

    return [Choice(number, generation) for number, generation in enumerate(await _generations(body, chat))]


async def _generations(
    body: GenerationIn, generate: Callable[[dict[str, object]], Awaitable[Generation]]
) -> list[Generation]:
    """One generation for each choice; a given seed counts up, so that they differ."""
    sampling = body.sampling()
    return [
        await generate(sampling if body.seed is None else {**sampling, "seed": (body.seed + number) % (MAX_SEED + 1)})
        for number in range(body.choices)
    ]


async def _text(backend: Backend, model: str, prompt: str | tuple[int, ...]) -> str:
    if isinstance(prompt, str):
        return prompt
    return b"".join(await backend.pieces(prompt, model)).decode("utf-8", "replace")
