"""Clients that hang up: whatever a request is doing then, it ends, and nobody else feels it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
import httpx2
import pytest

from mcp_llama.api import EmbedRequest
from mcp_llama.engine.embedding import Embedding
from mcp_llama.engine.limits import EngineLimits
from tests.gate import PATIENCE_S
from tests.server.client import task_group
from tests.server.hands import Hands
from tests.server.plain.counts import counts_of
from tests.server.plain.sizes import BIG_TOKENS, TINY_BUFFER
from tests.server.plain.streams import Asker, asker
from tests.server.plain.ways import CHAT, COMPLETION, GENERATE, Json, Way, embeddings, every_way, every_whole, scripts
from tests.server.raw import LEGACY_VERSION, MODERN_VERSION
from tests.server.scene import Scene
from tests.server.serving import in_process, staged
from tests.server.stage import Stage

VICTIM = "v" * 200
NEIGHBOUR_TEXT = "".join(f"{number} " for number in range(60))
SCRIPTS = scripts(neighbour=NEIGHBOUR_TEXT, big=BIG_TOKENS, other="fine", **{VICTIM: "x" * 400})
STATES = ["queued", "prefill", "decode"]

in_every_state = pytest.mark.parametrize("state", STATES)


@dataclass(frozen=True)
class Place:
    """A server that answers a neighbour, held inside a decode."""

    stage: Stage
    hands: Hands
    client: Asker

    async def advance(self, state: str, victims: int = 1) -> None:
        """Let decodes go until the victims are in a state."""
        await self.hands.made(1 + victims)
        if state == "prefill":
            await self.hands.advance_until(lambda rows: max(rows.values()) > 60)
        elif state == "decode":
            await self.hands.advance_until(lambda rows: list(rows.values()) == [1] * (1 + victims))

    async def check_aborted(self, state: str, victims: int = 1) -> None:
        """The victims end within a step, and only they."""
        await self.hands.stopped(victims)
        if state != "prefill":
            await self.hands.step()
        ends = await self.hands.ended(victims)
        assert [end.reason for end in ends] == ["abort"] * victims
        assert await self.hands.running() == 1
        await self.hands.held()
        counts = await counts_of(self.client)
        assert (counts.cancelled, counts.present, counts.stalled) == (victims, 1, 0)


@asynccontextmanager
async def neighboured(slots: int) -> AsyncGenerator[Place]:
    """A server with a call that is being answered and must not feel what happens."""
    async with staged(Scene(scripts=SCRIPTS, n_slots=slots, n_batch=64)) as (stage, url), asker(url) as client:
        hands = in_process(stage)
        stage.shut()
        async with client.stream(GENERATE, "neighbour", max_tokens=400) as neighbour, task_group() as tasks:
            await hands.held()
            tasks.start_soon(neighbour.rest)
            yield Place(stage, hands, client)
            stage.open()
        assert (neighbour.text, neighbour.finish_reason) == (NEIGHBOUR_TEXT, "stop")
        assert await client.text(GENERATE, "other") == "fine"


@every_way
@in_every_state
async def test_leaving_a_stream_ends_its_sequence(way: Way, state: str) -> None:
    async with neighboured(1 if state == "queued" else 2) as place:
        async with place.client.stream(way, VICTIM, max_tokens=400):
            await place.advance(state)
        await place.check_aborted(state)


@every_whole
@in_every_state
async def test_leaving_before_the_whole_answer_ends_its_sequence(way: Way, state: str) -> None:
    async with neighboured(1 if state == "queued" else 2) as place:
        async with task_group() as tasks:
            tasks.start_soon(partial(place.client.whole, way, VICTIM, max_tokens=400))
            await place.advance(state)
            tasks.cancel_scope.cancel()
        await place.check_aborted(state)


@pytest.mark.parametrize("way", [COMPLETION, CHAT], ids=str)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("state", ["queued", "decode"])
async def test_leaving_ends_all_choices(way: Way, stream: bool, state: str) -> None:
    async with neighboured(1 if state == "queued" else 4) as place:
        async with task_group() as tasks:
            request = way.request(VICTIM, stream=stream, max_tokens=400, n=3)
            tasks.start_soon(place.client.send, request)
            await place.advance(state, victims=3)
            tasks.cancel_scope.cancel()
        await place.check_aborted(state, victims=3)


@every_way
async def test_leaving_a_stream_that_is_paused_ends_its_sequence(way: Way) -> None:
    scene = Scene(scripts=SCRIPTS, engine=EngineLimits(unread_limit=8))
    async with staged(scene) as (stage, url), asker(url) as client, AsyncExitStack() as victims:
        hands = in_process(stage)
        stalling = await victims.enter_async_context(asker(url, TINY_BUFFER))
        await victims.enter_async_context(stalling.stream(way, "big", max_tokens=900))
        await hands.made(1)
        await hands.quiet()
        assert (await counts_of(client)).pauses >= 1
        stage.shut()
        async with client.stream(GENERATE, "neighbour", max_tokens=400) as neighbour:
            await hands.held()
            await victims.aclose()
            await Place(stage, hands, client).check_aborted("paused")
            stage.open()
            assert (await neighbour.rest()).text == NEIGHBOUR_TEXT


@dataclass(frozen=True)
class WatchedEmbeddings:
    """When a request for vectors was submitted, and when its caller left it."""

    submitted: anyio.Event
    left: anyio.Event


def watch_embeddings(stage: Stage) -> WatchedEmbeddings:
    """Look at the next requests for vectors."""
    watched = WatchedEmbeddings(anyio.Event(), anyio.Event())
    embed = stage.backend.embed

    async def watched_embed(request: EmbedRequest) -> Embedding:
        embedding = await embed(request)
        result: Callable[[], Awaitable[object]] = embedding.result

        async def watched_result() -> object:
            watched.submitted.set()
            try:
                return await result()
            finally:
                watched.left.set()

        vars(embedding)["result"] = watched_result
        return embedding

    vars(stage.backend)["embed"] = watched_embed
    return watched


async def test_leaving_a_request_for_vectors_in_the_queue_keeps_it_from_being_computed() -> None:
    async with neighboured(1) as place:
        watched = watch_embeddings(place.stage)
        with anyio.fail_after(PATIENCE_S):
            async with task_group() as tasks:
                tasks.start_soon(place.client.send, embeddings(VICTIM))
                await watched.submitted.wait()
                tasks.cancel_scope.cancel()
            await watched.left.wait()
        await place.hands.step()
        await place.hands.held()
        assert place.stage.model.embeds == []


async def test_leaving_a_request_for_vectors_ends_its_computation() -> None:
    async with staged(Scene(scripts=SCRIPTS)) as (stage, url), asker(url) as client:
        stage.shut()
        async with task_group() as tasks:
            tasks.start_soon(client.send, embeddings("one"))
            await in_process(stage).held()
            tasks.cancel_scope.cancel()
        first = list(stage.model.embeds)
        bodies: list[Json] = []

        async def ask_again() -> None:
            bodies.append((await client.send(embeddings("two"))).json())

        async with task_group() as tasks:
            tasks.start_soon(ask_again)
            # The gate is still shut: only the end of the first computation makes way for the second.
            with anyio.fail_after(PATIENCE_S):
                while stage.model.embeds == first:
                    await in_process(stage).held()
            assert stage.model.embeds == [*first, stage.model.tokenize("two", add_special=True, parse_special=True)]
            stage.open()
        assert bodies[0]["usage"]["prompt_tokens"] == 4


async def check_never_computed(stage: Stage, client: Asker) -> None:
    """A request that was left while the model was loading never reaches it."""
    hands = in_process(stage)
    await hands.deserted()
    await hands.finish_load()
    assert await client.text(GENERATE, "other") == "fine"
    assert len(await hands.ended(1)) == 1
    assert stage.model.embeds == []


LOADING = [way.request(VICTIM, stream=stream) for way in (GENERATE, COMPLETION, CHAT) for stream in (True, False)]


@pytest.mark.parametrize(
    "request_", [*LOADING, embeddings(VICTIM)], ids=lambda each: f"{each['path']} {each['json'].get('stream', '')}"
)
async def test_leaving_while_the_model_loads_is_noticed(request_: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    async with staged(Scene(scripts=SCRIPTS, holds_load=True)) as (stage, url), asker(url) as client:
        waiting = anyio.Event()
        note_waiters = stage.note_waiters

        def watched(change: int) -> None:
            note_waiters(change)
            waiting.set()

        monkeypatch.setattr(stage, "note_waiters", watched)
        async with task_group() as tasks:
            tasks.start_soon(client.send, request_)
            with anyio.fail_after(PATIENCE_S):
                await waiting.wait()
            tasks.cancel_scope.cancel()
        await check_never_computed(stage, client)


@pytest.mark.parametrize("sent", ["", '{"prompt": '])
@pytest.mark.parametrize(
    ("path", "version"),
    [("/generate", None), ("/v1/chat/completions", None), ("/mcp", LEGACY_VERSION), ("/mcp", MODERN_VERSION)],
)
async def test_leaving_in_the_middle_of_a_body_is_no_failure(
    path: str, version: str | None, sent: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with staged(Scene(scripts={None: "fine"})) as (_, url), asker(url) as client:
        address = httpx2.URL(url)
        headers = {
            "Host": f"localhost:{address.port}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "Content-Length": "100",
            **({} if version is None else {"MCP-Protocol-Version": version, "Mcp-Method": "tools/list"}),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n{sent}".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert await client.text(GENERATE, "well?") == "fine"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
