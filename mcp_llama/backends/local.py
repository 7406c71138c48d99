"""LocalBackend: the model in this process."""

import secrets
from collections.abc import Mapping, Sequence
from functools import partial

import anyio.to_thread

from mcp_llama.api import ChatRequest, GenerateRequest, Limits, Message, ModelStatus
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.sampling import MAX_SEED
from mcp_llama.engine.types import TokenRequest
from mcp_llama.errors import RequestError, UnknownModelError
from mcp_llama.models.loader import LoadedModel, LoadModel, ModelLoader

_INLINE_CHARACTERS = 20_000
"""Text up to this long is tokenized in a few milliseconds, less than a change of threads is worth."""


class LocalBackend:
    """Serves one model through one engine. Satisfies `Backend`."""

    def __init__(self, name: str, load: LoadModel, limits: EngineLimits | None = None) -> None:
        self._loader = ModelLoader(name, load, limits or EngineLimits())

    def start(self) -> None:
        """Begin to load; returns at once."""
        self._loader.start()

    async def ready(self, model: str | None) -> None:
        """Wait until the model can answer; see `Backend.ready`."""
        await self._loaded(model)

    async def generate(self, request: GenerateRequest) -> Generation:
        """A handle for the request; see `Backend.generate`."""
        if not request.prompt:
            raise RequestError("prompt is empty. Send the text to continue.")
        loaded = await self._loaded(request.model)
        tokens = await _tokenize(loaded, request.prompt, add_special=True)
        return _generation(loaded, tokens, request.limits, request.sampling, request.arrival)

    async def chat(self, request: ChatRequest) -> Generation:
        """The same for a chat; see `Backend.chat`."""
        loaded = await self._loaded(request.model)
        tokens = await _tokenize_chat(loaded, request.messages)
        return _generation(loaded, tokens, request.limits, request.sampling, request.arrival)

    async def count_tokens(self, content: str | Sequence[Message], model: str | None) -> int:
        """How many tokens a prompt, or a chat with its template, takes."""
        loaded = await self._loaded(model)
        if isinstance(content, str):
            return len(await _tokenize(loaded, content, add_special=True))
        return len(await _tokenize_chat(loaded, content))

    def models(self) -> list[ModelStatus]:
        """What is served."""
        return [self._loader.status()]

    def stop(self) -> None:
        """Refuse new requests, and end all others with what they have."""
        self._loader.stop()

    async def close(self) -> None:
        """Stop, and free the model."""
        await anyio.to_thread.run_sync(self._loader.close)

    async def _loaded(self, model: str | None) -> LoadedModel:
        if model is not None and model != self._loader.name:
            raise UnknownModelError(model, [self._loader.name])
        self._loader.start()
        return await self._loader.loaded()


async def _tokenize(loaded: LoadedModel, text: str, *, add_special: bool) -> Sequence[int]:
    tokenize = partial(loaded.model.tokenize, text, add_special=add_special, parse_special=True)
    if len(text) <= _INLINE_CHARACTERS:
        return tokenize()
    return await anyio.to_thread.run_sync(tokenize)


async def _tokenize_chat(loaded: LoadedModel, messages: Sequence[Message]) -> Sequence[int]:
    # A template is a program out of the model's file, and may take its time.
    prompt = await anyio.to_thread.run_sync(loaded.chat_template.render, messages)
    # Most templates write the leading token themselves; a second one would change the answer.
    add_special = not (loaded.model.bos_text and prompt.startswith(loaded.model.bos_text))
    return await _tokenize(loaded, prompt, add_special=add_special)


def _generation(
    loaded: LoadedModel, tokens: Sequence[int], limits: Limits, options: Mapping[str, object], arrival: float
) -> Generation:
    sampling = loaded.model.default_sampling.override(_with_seed(options))
    return loaded.engine.generate(
        TokenRequest(
            prompt=tuple(tokens),
            max_tokens=_max_tokens(limits, loaded.engine.n_ctx - len(tokens)),
            sampling=sampling,
            stop=_checked_stop(limits.stop),
            arrival=arrival,
            deadline=_deadline(limits, arrival),
        )
    )


def _max_tokens(limits: Limits, room: int) -> int:
    return max(1, min(limits.default_max_tokens, room)) if limits.max_tokens is None else limits.max_tokens


def _with_seed(options: Mapping[str, object]) -> dict[str, object]:
    seed = options.get("seed")
    return {**options, "seed": secrets.randbelow(MAX_SEED) if seed is None else seed}


def _checked_stop(stop: tuple[str, ...]) -> tuple[str, ...]:
    if "" in stop:
        raise RequestError("stop holds an empty string, which would end every answer at once. Remove it.")
    return stop


def _deadline(limits: Limits, arrival: float) -> float | None:
    if limits.max_time_s is None:
        return None
    if not limits.max_time_s > 0:
        raise RequestError(f"max_time_s is {limits.max_time_s}, but it must be more than 0.")
    return arrival + limits.max_time_s
