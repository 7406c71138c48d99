"""LocalBackend over the embedded model."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest

from mcp_llama.api import ChatRequest, GenerateRequest, Limits, Message, Result
from mcp_llama.backends.local import LocalBackend
from mcp_llama.engine.llama import LlamaModel, ModelOptions
from tests.backends.one_model import backend_of

PATIENCE_S = 30
IM_START, IM_END = 1, 2


@pytest.fixture(scope="module")
def backend(real_model_path: Path) -> Iterator[LocalBackend]:
    options = ModelOptions(n_ctx=256, n_slots=1, n_threads=1)
    backend = backend_of("embedded", partial(LlamaModel, real_model_path, options))
    yield backend
    anyio.run(backend.close)


async def sampled(backend: LocalBackend, **sampling: object) -> Result:
    request = GenerateRequest(prompt="Once upon a time", sampling=sampling, limits=Limits(max_tokens=8))
    with anyio.fail_after(PATIENCE_S):
        async with await backend.generate(request) as generation:
            return await generation.result()


async def test_the_reported_seed_gives_the_same_text_again(backend: LocalBackend) -> None:
    first = await sampled(backend, temperature=2.0, top_k=0, min_p=0.0)
    again = await sampled(backend, temperature=2.0, top_k=0, min_p=0.0, seed=first.seed)
    other = await sampled(backend, temperature=2.0, top_k=0, min_p=0.0, seed=first.seed ^ 1)
    assert again.text == first.text
    assert other.text != first.text


async def test_at_temperature_zero_the_seed_makes_no_difference(backend: LocalBackend) -> None:
    first = await sampled(backend, temperature=0, seed=1)
    other = await sampled(backend, temperature=0, seed=2)
    assert first.text == other.text != ""


async def test_a_chat_takes_each_control_token_of_the_template_as_one(backend: LocalBackend) -> None:
    with anyio.fail_after(PATIENCE_S):
        system, user = Message(role="system", content="Hi"), Message(role="user", content="Hi")
        generation = await backend.chat(ChatRequest(messages=(system, user), limits=Limits(max_tokens=1)))
    tokens = generation.request.prompt
    assert [tokens.count(IM_START), tokens.count(IM_END)] == [3, 2]
    assert tokens[0] == IM_START != tokens[1]


async def test_a_long_text_is_counted_like_its_parts(backend: LocalBackend) -> None:
    line = "The quick brown fox jumps over the lazy dog.\n"
    with anyio.fail_after(PATIENCE_S):
        one, many = await backend.count_tokens(line, None), await backend.count_tokens(line * 1000, None)
    assert len(line * 1000) > 20_000
    assert many == one * 1000


async def test_the_card_tells_what_is_loaded(backend: LocalBackend) -> None:
    with anyio.fail_after(PATIENCE_S):
        await backend.ready(None)
    card = backend.status().card
    assert card is not None
    assert (card.name, card.architecture, card.quantisation) == ("embedded", "llama", "Q4_1")
    assert (card.n_ctx_train, card.n_ctx, card.n_slots) == (8192, 256, 1)
    assert 134_000_000 < card.parameters < 135_000_000
    assert card.size < 100_000_000
