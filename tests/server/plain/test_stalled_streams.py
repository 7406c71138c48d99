"""Clients that stay connected and stop reading their stream."""

import errno
from collections.abc import Callable
from dataclasses import replace

import anyio
import httpx2
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.server import http, sse
from mcp_llama.server.calls import Calls
from mcp_llama.server.settings import ServerLimits
from tests.gate import PATIENCE_S
from tests.server.plain.counts import counts_of
from tests.server.plain.sizes import BIG_TEXT, BIG_TOKENS, BUFFERED_TOKENS, TINY_BUFFER
from tests.server.plain.streams import asker
from tests.server.plain.ways import COMPLETION, GENERATE, Way, every_way, scripts
from tests.server.scene import Scene
from tests.server.serving import in_process, staged

NEIGHBOUR_TEXT = "neighbour"
NEIGHBOURS = 10
"""So many in a row that have every step for themselves show that the other one is paused."""
SCENE = Scene(
    scripts={**scripts(big=BIG_TOKENS), None: NEIGHBOUR_TEXT},
    engine=EngineLimits(unread_limit=8),
    server=ServerLimits(ping_s=0.05),
)
BRIEF = replace(SCENE, engine=EngineLimits(unread_limit=8, stall_timeout=0.2))
"""The engine gives a stalled reader up."""
BRIEFER = replace(SCENE, server=ServerLimits(stall_timeout=0.2))
"""The server gives it up, because the engine would wait."""


@every_way
async def test_a_stalled_stream_pauses_alone_and_goes_on_when_it_is_read(way: Way) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client, asker(url, TINY_BUFFER) as stalling:
        hands = in_process(stage)
        async with stalling.stream(way, "big", max_tokens=900) as stream:
            await hands.made(1)
            alone = 0
            # On a busy machine the buffers may take a while to fill; they are bounded, so this ends.
            while alone < NEIGHBOURS:
                before = stage.decodes()
                assert (await client.read(GENERATE, f"{before} neighbour")).text == NEIGHBOUR_TEXT
                alone = alone + 1 if stage.decodes() - before == len(NEIGHBOUR_TEXT) + 1 else 0
                assert max(map(len, stage.model.slots)) < BUFFERED_TOKENS
            assert stage.running() == 1
            counts = await counts_of(client)
            assert (counts.pauses >= 1, counts.stalled, counts.cancelled) == (True, 0, 0)
            await stream.rest()
        assert (stream.text, stream.finish_reason) == (BIG_TEXT, "stop")


@every_way
async def test_a_stream_that_stays_stalled_is_ended_with_what_it_has(way: Way, calls: Callable[[], Calls]) -> None:
    async with staged(BRIEF) as (stage, url), asker(url) as client, asker(url, TINY_BUFFER) as stalling:
        hands = in_process(stage)
        async with stalling.stream(way, "big", max_tokens=900) as stream:
            (end,) = await hands.ended(1)
            assert end.reason == "abort"
            assert end.completion_tokens < BUFFERED_TOKENS
            assert stage.running() == 0
            counts = await counts_of(client)
            assert (counts.stalled, counts.cancelled, counts.present) == (1, 0, 0)
            assert (await client.read(way, "more")).text == NEIGHBOUR_TEXT
            await stream.rest()
        assert stream.text == "".join(BIG_TOKENS[: end.completion_tokens])
        assert stream.kinds[-1] == "error"
        assert "ended before it was complete" in stream.items[-1].message
        with anyio.fail_after(PATIENCE_S):
            await calls().idle()


@every_way
async def test_nothing_waits_for_ever_for_a_reader(
    way: Way, calls: Callable[[], Calls], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "_STALL_GRACE_S", 0.1)
    async with staged(BRIEFER) as (stage, url), asker(url) as client, asker(url, TINY_BUFFER) as stalling:
        hands = in_process(stage)
        async with stalling.stream(way, "big", max_tokens=900) as stream:
            with anyio.fail_after(PATIENCE_S):
                await calls().idle()
            (end,) = await hands.ended(1)
            assert end.reason == "abort"
            counts = await counts_of(client)
            assert (counts.cancelled, counts.present) == (1, 0)
            assert (await client.read(way, "more")).text == NEIGHBOUR_TEXT
            with pytest.raises(httpx2.RemoteProtocolError):
                await stream.rest()
        assert BIG_TEXT.startswith(stream.text)
        assert not {"done", "error"} & set(stream.kinds)


async def test_a_stalled_reader_of_many_choices_pauses_them_all() -> None:
    scene = replace(SCENE, n_slots=4)
    async with staged(scene) as (stage, url), asker(url) as client, asker(url, TINY_BUFFER) as stalling:
        hands = in_process(stage)
        async with stalling.stream(COMPLETION, "big", max_tokens=900, n=3) as stream:
            await hands.made(3)
            await hands.quiet()
            assert stage.running() == 3
            assert (await counts_of(client)).pauses >= 3
            assert (await client.read(GENERATE, "more")).text == NEIGHBOUR_TEXT
            await stream.rest()
        by_choice = {
            index: "".join(
                choice["text"] for event in stream.events for choice in event["choices"] if choice["index"] == index
            )
            for index in range(3)
        }
        assert by_choice == dict.fromkeys(range(3), BIG_TEXT)


async def test_the_kernel_drops_the_connection_of_a_reader_that_stays_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_STALL_MARGIN_S", 0.3)
    lost: list[Exception | None] = []
    dropped = anyio.Event()
    connection_lost = HttpToolsProtocol.connection_lost

    def watched(self: HttpToolsProtocol, exc: Exception | None) -> None:
        connection_lost(self, exc)
        if exc is not None:
            lost.append(exc)
            dropped.set()

    monkeypatch.setattr(HttpToolsProtocol, "connection_lost", watched)
    async with (
        staged(BRIEFER) as (_, url),
        asker(url, TINY_BUFFER) as stalling,
        stalling.stream(GENERATE, "big", max_tokens=900),
    ):
        # The kernel asks a full reader again at growing intervals.
        with anyio.fail_after(3 * PATIENCE_S):
            await dropped.wait()
    (error,) = lost
    assert isinstance(error, OSError)
    assert error.errno == errno.ETIMEDOUT
