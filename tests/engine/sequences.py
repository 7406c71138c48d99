"""Requests, sequences and runs for the engine's tests."""

import time
from collections.abc import Sequence as Tokens
from typing import cast

import anyio

from mcp_llama.api import Result
from mcp_llama.engine.engine import Engine
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.model import Rows
from mcp_llama.engine.sampling import SamplingParams
from mcp_llama.engine.sequence import Sequence
from mcp_llama.engine.types import TokenDelta, TokenRequest
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S

GREEDY = SamplingParams(temperature=0.0, seed=0)


def request(
    prompt: str | Tokens[int],
    max_tokens: int = 8,
    *,
    stop: Tokens[str] = (),
    sampling: SamplingParams = GREEDY,
    arrival: float | None = None,
    deadline: float | None = None,
    top_logprobs: int | None = None,
    streamed: bool = True,
) -> TokenRequest:
    """A request that arrives now unless told otherwise; the tokens of a text prompt are its bytes."""
    return TokenRequest(
        prompt=tuple(prompt.encode() if isinstance(prompt, str) else prompt),
        max_tokens=max_tokens,
        sampling=sampling,
        stop=tuple(stop),
        arrival=time.monotonic() if arrival is None else arrival,
        deadline=deadline,
        top_logprobs=top_logprobs,
        streamed=streamed,
    )


def sequence(
    prompt: str | Tokens[int], max_tokens: int = 8, *, stop: Tokens[str] = (), top_logprobs: int | None = None
) -> Sequence:
    """A sequence that no one reads, for what runs without an engine."""
    return Sequence(request(prompt, max_tokens, stop=stop, top_logprobs=top_logprobs), cast(Generation, None))


async def finish(generation: Generation) -> Result:
    """The result, soon."""
    with anyio.fail_after(PATIENCE_S):
        return await generation.result()


async def admission(generation: Generation) -> TokenDelta:
    """The first delta, which says that the request has got its slot."""
    with anyio.fail_after(PATIENCE_S):
        delta = await generation.next()
    assert delta is not None
    assert (delta.text, delta.completion_tokens, delta.finish) == ("", 0, None)
    return delta


async def run(engine: Engine, asked: TokenRequest) -> Result:
    """The result of a request whose deltas nobody looks at."""
    async with engine.generate(asked) as generation:
        return await finish(generation)


async def run_all(engine: Engine, *asked: TokenRequest) -> list[Result]:
    """The results of requests that run at the same time, in their order."""
    results: dict[int, Result] = {}

    async def keep(index: int, each: TokenRequest) -> None:
        results[index] = await run(engine, each)

    async with anyio.create_task_group() as tasks:
        for index, each in enumerate(asked):
            tasks.start_soon(keep, index, each)
    return [results[index] for index in range(len(asked))]


def by_hand(prompt: str, count: int) -> str:
    """What a FakeModel says after a prompt, found without an engine."""
    model = FakeModel(n_slots=1)
    tokens = list(prompt.encode())
    sampler = model.sampler(GREEDY, tokens)
    for position in range(len(prompt) + count - 1):
        model.decode(Rows([tokens[position]], [position], [0], [True]))
        if position >= len(prompt) - 1:
            tokens.append(sampler.sample(0))
    return bytes(tokens[len(prompt) :]).decode()
