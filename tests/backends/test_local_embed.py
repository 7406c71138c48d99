"""What LocalBackend offers beside generation: vectors, tokens, templates, numbers."""

import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence

import anyio
import anyio.lowlevel
import numpy as np
import pytest

from mcp_llama.api import ChatRequest, EmbedRequest, GenerateRequest, Message
from mcp_llama.backends.local import LocalBackend
from mcp_llama.engine.model import Vectors
from mcp_llama.errors import ContextLengthError, RequestError, UnknownModelError
from tests.backends.one_model import backend_of
from tests.engine.exported import exported
from tests.fake_model import BOS, EOG, FakeModel

PATIENCE_S = 10
USER = (Message(role="user", content="Why?"),)


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def backend(model: FakeModel) -> Iterator[LocalBackend]:
    backend = backend_of("small", lambda report: model)
    yield backend
    anyio.run(backend.close)


async def vectors(backend: LocalBackend, *texts: str | tuple[int, ...]) -> list[Vectors]:
    with anyio.fail_after(PATIENCE_S):
        async with await backend.embed(EmbedRequest(texts=texts)) as embedding:
            return await embedding.result()


async def test_texts_and_tokens_become_vectors_in_their_order(backend: LocalBackend, model: FakeModel) -> None:
    found = await vectors(backend, "hi", (65, 66, 67), "<s>")
    assert model.embeds == [[BOS, *b"hi"], [65, 66, 67], [BOS, BOS]]
    assert [np.linalg.norm(vector) for vector in found] == pytest.approx([1, 1, 1])
    assert np.array_equal((await vectors(backend, "hi"))[0], found[0])


async def test_a_request_for_vectors_arrives_when_it_was_made(backend: LocalBackend) -> None:
    embedding = await backend.embed(EmbedRequest(texts=("hi", "ho!"), arrival=1000.0))
    assert (embedding.arrival, embedding.tokens) == (1000.0, 3 + 4)


async def test_whatever_else_waits_has_its_turn_between_two_texts(backend: LocalBackend) -> None:
    turns = 0

    async def wait_for_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    await backend.ready(None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait_for_turns)
        await backend.embed(EmbedRequest(texts=("hi",) * 50))
        tasks.cancel_scope.cancel()
    assert turns >= 49


@pytest.mark.parametrize("texts", [(), ("",), ("hi", ""), ((),)])
async def test_nothing_to_embed_is_refused(backend: LocalBackend, texts: tuple[str | tuple[int, ...], ...]) -> None:
    with pytest.raises(RequestError, match="empty"):
        await backend.embed(EmbedRequest(texts=texts))


async def test_a_text_that_does_not_fit_is_refused_with_the_numbers(backend: LocalBackend, model: FakeModel) -> None:
    with pytest.raises(ContextLengthError, match=f"The text has {model.n_ctx + 1} tokens, but the context holds"):
        await backend.embed(EmbedRequest(texts=("hi", "x" * model.n_ctx)))


@pytest.mark.parametrize("token", [-1, 258, 10**9])
async def test_a_token_that_does_not_exist_is_refused_with_those_that_do(backend: LocalBackend, token: int) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: backend.embed(EmbedRequest(texts=("hi", (65, token)))),
        lambda: backend.generate(GenerateRequest(prompt=(65, token))),
        lambda: backend.pieces([65, token], None),
    ]
    for call in calls:
        with pytest.raises(RequestError) as refused:
            await call()
        assert str(refused.value) == f"Token {token} does not exist. The vocabulary of small goes from 0 to 257."


async def test_an_unknown_model_is_refused(backend: LocalBackend) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: backend.embed(EmbedRequest(texts=("hi",), model="large")),
        lambda: backend.tokenize("hi", "large", add_special=True, parse_special=True),
        lambda: backend.pieces([65], "large"),
        lambda: backend.apply_template(ChatRequest(messages=USER, model="large")),
    ]
    for call in calls:
        with pytest.raises(UnknownModelError):
            await call()


@pytest.mark.parametrize(
    ("add_special", "parse_special", "tokens"),
    [
        (False, False, list(b"a</s>")),
        (True, False, [BOS, *b"a</s>"]),
        (False, True, [ord("a"), EOG]),
        (True, True, [BOS, ord("a"), EOG]),
    ],
)
async def test_a_text_is_tokenized_as_asked(
    backend: LocalBackend, add_special: bool, parse_special: bool, tokens: list[int]
) -> None:
    found = await backend.tokenize("a</s>", None, add_special=add_special, parse_special=parse_special)
    assert list(found) == tokens


async def test_tokens_become_their_bytes_off_the_event_loop(
    backend: LocalBackend, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    unwatched = model.pieces

    def pieces(tokens: Sequence[int]) -> list[bytes]:
        threads.append(threading.get_ident())
        return unwatched(tokens)

    monkeypatch.setattr(model, "pieces", pieces)
    smile = [model.piece(b"\xf0\x9f"), model.piece(b"\x99\x82")]
    assert await backend.pieces([BOS, 65, *smile, EOG], None) == [b"<s>", b"A", b"\xf0\x9f", b"\x99\x82", b"</s>"]
    assert await backend.pieces([], None) == []
    assert threading.get_ident() not in threads


async def test_a_chat_becomes_the_text_that_the_template_makes_of_it(backend: LocalBackend) -> None:
    assert await backend.apply_template(ChatRequest(messages=USER)) == "<user>Why?\n<assistant>"
    trailing = (*USER, Message(role="assistant", content="Bec"))
    assert await backend.apply_template(ChatRequest(messages=trailing, model="small")) == "<user>Why?\n<assistant>Bec"
    with pytest.raises(RequestError):
        await backend.apply_template(ChatRequest(messages=()))


async def test_the_numbers_are_there_before_the_model_and_count_what_it_does(backend: LocalBackend) -> None:
    assert exported(backend.metrics)['llamacpp:tokens_predicted_total{model="small"}'] == 0
    registry = backend.metrics
    with anyio.fail_after(PATIENCE_S):
        async with await backend.generate(GenerateRequest(prompt=(65, 66), sampling={"seed": 1})) as generation:
            result = await generation.result()
    assert exported(registry)['llamacpp:tokens_predicted_total{model="small"}'] == result.usage.completion_tokens
    assert exported(registry)['llamacpp:prompt_tokens_total{model="small"}'] == 2
