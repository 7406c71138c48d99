"""What becomes of the options of a request."""

from collections.abc import Iterator

import anyio
import pytest

from mcp_llama.api import ChatRequest, GenerateRequest, Limits, Message, Result
from mcp_llama.backends.local import LocalBackend
from mcp_llama.errors import RequestError
from tests.backends.one_model import backend_of
from tests.fake_model import BOS, FakeModel

PATIENCE_S = 10
USER = (Message(role="user", content="Why?"),)


@pytest.fixture
def backend() -> Iterator[LocalBackend]:
    backend = backend_of("small", lambda report: FakeModel(n_ctx=1000))
    yield backend
    anyio.run(backend.close)


async def answer(backend: LocalBackend, request: GenerateRequest | ChatRequest) -> Result:
    with anyio.fail_after(PATIENCE_S):
        prepare = backend.generate(request) if isinstance(request, GenerateRequest) else backend.chat(request)
        async with await prepare as generation:
            return await generation.result()


@pytest.mark.parametrize(
    ("limits", "max_tokens"),
    [
        (Limits(), 512),
        (Limits(default_max_tokens=40), 40),
        (Limits(default_max_tokens=100_000), 997),
        (Limits(default_max_tokens=None), 997),
        (Limits(max_tokens=9, default_max_tokens=None), 9),
    ],
)
async def test_what_is_not_limited_gets_the_default_or_the_room_that_is_left(
    backend: LocalBackend, limits: Limits, max_tokens: int
) -> None:
    generation = await backend.generate(GenerateRequest(prompt="hi", limits=limits))
    assert generation.request.max_tokens == max_tokens


async def test_a_prompt_of_tokens_is_taken_as_it_is(backend: LocalBackend) -> None:
    generation = await backend.generate(GenerateRequest(prompt=(65, BOS, 66)))
    assert generation.request.prompt == (65, BOS, 66)


@pytest.mark.parametrize("top", [None, 0, 20])
async def test_log_probabilities_are_asked_for_as_often_as_wanted(backend: LocalBackend, top: int | None) -> None:
    limits = Limits(max_tokens=3)
    for result in (
        await answer(backend, GenerateRequest(prompt="hi", limits=limits, top_logprobs=top)),
        await answer(backend, ChatRequest(messages=USER, limits=limits, top_logprobs=top)),
    ):
        assert [len(entry.top) for entry in result.logprobs] == ([] if top is None else [top] * 3)


@pytest.mark.parametrize("top", [-1, 21])
async def test_more_log_probabilities_than_there_may_be_are_refused(backend: LocalBackend, top: int) -> None:
    with pytest.raises(RequestError, match=f"^top_logprobs is {top}, but it must be from 0 to 20.$"):
        await backend.generate(GenerateRequest(prompt="hi", top_logprobs=top))
