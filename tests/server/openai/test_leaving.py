"""Clients that leave before their answer is complete."""

from typing import Any

import anyio
import openai
import pytest
from anyio import to_thread

from mcp_llama.engine.embedding import Embedding
from mcp_llama.engine.engine import Engine
from tests.gate import PATIENCE_S
from tests.server.client import task_group
from tests.server.openai.clients import Kind, Play, ask, asked, both_kinds, create, played, sync_client
from tests.server.scene import MODEL_NAME, Scene

SCENE = Scene(n_slots=1, decode_delay=0.005)
LONG: dict[str, Any] = {"max_tokens": 900}


async def check_free(play: Play) -> None:
    """The slot of the one who left is free."""
    (end,) = await play.stage.ended(1)
    assert end.reason == "abort"
    assert end.completion_tokens < 900
    assert (await ask(play.client, "completions", max_tokens=2)).reasons == ["length"]


@both_kinds
async def test_closing_a_stream_frees_its_slot(kind: Kind) -> None:
    async with played(SCENE) as play:
        stream = await create(play.client, kind)(**asked(kind), **LONG, stream=True)
        await anext(aiter(stream))
        await stream.close()
        await check_free(play)


@both_kinds
async def test_leaving_the_block_of_a_stream_frees_its_slot(kind: Kind) -> None:
    async with played(SCENE) as play:
        async with await create(play.client, kind)(**asked(kind), **LONG, stream=True) as stream:
            await anext(aiter(stream))
        await check_free(play)


async def test_leaving_the_helper_for_streams_frees_its_slot() -> None:
    async with played(SCENE) as play:
        async with play.client.chat.completions.stream(
            model=MODEL_NAME, messages=[{"role": "user", "content": "x"}], max_tokens=900
        ) as stream:
            await anext(aiter(stream))
        await check_free(play)


async def test_closing_a_stream_of_the_synchronous_client_frees_its_slot() -> None:
    def leave(url: str) -> None:
        with sync_client(url) as client, create(client, "chat")(**asked("chat"), **LONG, stream=True) as stream:
            next(iter(stream))

    async with played(SCENE) as play:
        await to_thread.run_sync(leave, play.url)
        await check_free(play)


@both_kinds
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_client_that_times_out_frees_its_slot(kind: Kind, stream: bool) -> None:
    async with played(SCENE) as play:
        await play.stage.shut()
        # The stream of a chat opens at once, and then has nothing to tell.
        with pytest.raises((openai.APITimeoutError, openai.APIConnectionError)):
            await ask(play.client, kind, **LONG, stream=stream, timeout=0.5)
        await play.stage.stopped(1)
        await play.stage.open()
        await check_free(play)


async def test_a_task_that_is_cancelled_frees_its_slot() -> None:
    async with played(SCENE) as play:
        await play.stage.shut()
        async with task_group() as tasks:
            tasks.start_soon(lambda: ask(play.client, "chat", **LONG))
            await play.stage.held()
            tasks.cancel_scope.cancel()
        await play.stage.stopped(1)
        await play.stage.open()
        await check_free(play)


async def test_embeddings_of_a_client_that_times_out_are_not_computed_further(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"text {number}" for number in range(50)]
    left = anyio.Event()
    abort = Engine.abort_embedding

    def watched(engine: Engine, embedding: Embedding) -> None:
        abort(engine, embedding)
        left.set()

    monkeypatch.setattr(Engine, "abort_embedding", watched)
    async with played(SCENE) as play:
        await play.stage.shut()
        with pytest.raises(openai.APITimeoutError):
            await play.client.with_options(timeout=0.5).embeddings.create(model=MODEL_NAME, input=texts)
        with anyio.fail_after(PATIENCE_S):
            await left.wait()
        await play.stage.open()
        assert (await ask(play.client, "completions", max_tokens=2)).reasons == ["length"]
        assert len(play.model.embeds) < len(texts)
