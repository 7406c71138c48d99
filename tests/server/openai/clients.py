"""OpenAI's own clients, and what they heard in one shape for all of them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import pytest
from anyio import to_thread
from openai import APIError, AsyncOpenAI, OpenAI

from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S
from tests.server.hands import Hands
from tests.server.scene import MODEL_NAME, Scene
from tests.server.serving import in_process, staged

Kind = Literal["chat", "completions"]
KINDS: tuple[Kind, ...] = ("chat", "completions")
both_kinds = pytest.mark.parametrize("kind", KINDS)

_TIMEOUT_S = 6 * PATIENCE_S
"""A client may wait for the real model, while other programs take this machine's time."""


def async_client(url: str) -> AsyncOpenAI:
    """A client that shows every failure at once."""
    return AsyncOpenAI(base_url=f"{url}/v1", api_key="not needed", max_retries=0, timeout=_TIMEOUT_S)


def sync_client(url: str) -> OpenAI:
    """The same for a thread."""
    return OpenAI(base_url=f"{url}/v1", api_key="not needed", max_retries=0, timeout=_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class Play:
    """A server that plays a scene, and a client of it."""

    model: FakeModel
    stage: Hands
    url: str
    client: AsyncOpenAI


@asynccontextmanager
async def played(scene: Scene) -> AsyncGenerator[Play]:
    """A server that plays a scene, and a client of it."""
    async with staged(scene) as (stage, url), async_client(url) as client:
        yield Play(stage.model, in_process(stage), url, client)


async def step(stage: Hands, *, ends: bool = False) -> None:
    """Let the held decode go, and see that the next one is held, unless that was the last."""
    await stage.held()
    await stage.step()
    if not ends:
        await stage.held()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client made of one response. The lists have an item for each choice."""

    texts: list[str]
    reasons: list[str]
    logprobs: list[Any]
    usage: Any
    responses: list[Any]
    """The chunks, or the one whole response."""

    @property
    def text(self) -> str:
        """The text of the one choice."""
        (text,) = self.texts
        return text

    @property
    def counts(self) -> tuple[int, int, int]:
        """Tokens of prompt, completion, and both."""
        return self.usage.prompt_tokens, self.usage.completion_tokens, self.usage.total_tokens


def asked(kind: Kind, prompt: Any = "Name three colours.", *, model: str = MODEL_NAME) -> dict[str, Any]:
    """What a request must say."""
    if kind == "completions":
        return {"model": model, "prompt": prompt}
    return {"model": model, "messages": [{"role": "user", "content": prompt}]}


def create(client: AsyncOpenAI | OpenAI, kind: Kind) -> Any:
    """The client's method, without the types that keep a test from asking for nonsense."""
    return cast(Any, client.chat.completions.create if kind == "chat" else client.completions.create)


async def ask(client: AsyncOpenAI | OpenAI, kind: Kind, prompt: Any = "Name three colours.", **options: Any) -> Answer:
    """Ask for a response, and read it to its end."""
    arguments = {**asked(kind, prompt), **options}
    if isinstance(client, OpenAI):
        return await to_thread.run_sync(_ask_in_thread, client, kind, arguments)
    response = await create(client, kind)(**arguments)
    return heard([chunk async for chunk in response]) if arguments.get("stream") else told(response)


def _ask_in_thread(client: OpenAI, kind: Kind, arguments: dict[str, Any]) -> Answer:
    response = create(client, kind)(**arguments)
    return heard(list(response)) if arguments.get("stream") else told(response)


def body_of(error: APIError) -> dict[str, Any]:
    """What a server said is wrong."""
    return cast(dict[str, Any], error.body)


def told(response: Any) -> Answer:
    """A whole response."""
    assert [choice.index for choice in response.choices] == list(range(len(response.choices)))
    return Answer(
        texts=[choice.text if hasattr(choice, "text") else choice.message.content for choice in response.choices],
        reasons=[choice.finish_reason for choice in response.choices],
        logprobs=[choice.logprobs and choice.logprobs.model_dump() for choice in response.choices],
        usage=response.usage,
        responses=[response],
    )


def heard(chunks: list[Any]) -> Answer:
    """The chunks of a stream. Every choice must have ended once, and nothing may come after its end."""
    texts: dict[int, str] = {}
    reasons: dict[int, str] = {}
    logprobs: dict[int, Any] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            assert choice.index not in reasons, "a choice goes on after its end"
            texts[choice.index] = texts.get(choice.index, "") + piece(choice)
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
            _join(logprobs, choice)
    indices = sorted(texts)
    assert indices == sorted(reasons) == list(range(len(indices)))
    return Answer(
        texts=[texts[index] for index in indices],
        reasons=[reasons[index] for index in indices],
        logprobs=[logprobs.get(index) for index in indices],
        usage=chunks[-1].usage,
        responses=chunks,
    )


def piece(choice: Any) -> str:
    """The new text of a chunk's choice."""
    return choice.text if hasattr(choice, "text") else choice.delta.content or ""


def _join(joined: dict[int, Any], choice: Any) -> None:
    if choice.logprobs is None:
        return
    for name, values in choice.logprobs.model_dump().items():
        lists = joined.setdefault(choice.index, {})
        lists[name] = values if values is None else (lists.get(name) or []) + values
