"""Streams: what comes when, and in which form."""

import httpx2
import pytest

from tests.server.client import task_group
from tests.server.plain.streams import Asker, asker
from tests.server.plain.ways import GENERATE, Way, every_generate, every_way, scripts
from tests.server.scene import SPEECH, Scene, split_bytes
from tests.server.serving import in_process, staged

COUNT = "one two three four five"
TOKENS = {"speech": split_bytes(SPEECH, 1), "halves": split_bytes(SPEECH, 3)}
SCENE = Scene(scripts=scripts(count=COUNT, nothing=(), **TOKENS))
ALONE = Scene(scripts=SCENE.scripts, n_slots=1)


@every_way
@pytest.mark.parametrize("encodings", ["gzip, deflate, br, zstd", "identity", ""])
async def test_nothing_on_the_way_is_invited_to_hold_tokens_back(client: Asker, way: Way, encodings: str) -> None:
    async with client.stream(way, "count", max_tokens=99, headers={"Accept-Encoding": encodings}) as stream:
        headers = stream.response.headers
        assert (await stream.rest()).text == COUNT
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "no-cache" in headers["cache-control"]
    assert "no-transform" in headers["cache-control"]
    assert headers["x-accel-buffering"] == "no"
    assert headers["transfer-encoding"] == "chunked"
    assert not {"content-encoding", "content-length"} & set(headers)


@every_way
async def test_headers_and_first_bytes_come_while_the_prompt_is_computed(way: Way) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        stage.shut()
        async with client.stream(way, "count", max_tokens=99) as stream:
            assert (await stream.item()).kind == "comment"
            await in_process(stage).held()
            assert stage.decodes() == 1
            stage.open()
            assert (await stream.rest()).text == COUNT


@every_way
async def test_headers_and_first_bytes_come_while_the_request_waits_in_the_queue(way: Way) -> None:
    async with staged(ALONE) as (stage, url), asker(url) as client:
        stage.shut()
        async with client.stream(GENERATE, "count") as first:
            await in_process(stage).held()
            async with client.stream(way, "count", max_tokens=99) as second:
                assert (await second.item()).kind == "comment"
                assert stage.running() == 1
                stage.open()
                assert (await second.rest()).text == (await first.rest()).text == COUNT


@every_way
async def test_every_token_is_an_event_of_its_own_that_leaves_before_the_next_is_computed(way: Way) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        hands = in_process(stage)
        stage.shut()
        async with client.stream(way, "count", max_tokens=10) as stream:
            await hands.held()
            for number in range(1, 10):
                await hands.step()
                await hands.held()
                while len(stream.text) < number:
                    await stream.event()
                assert stream.text == COUNT[:number]
            await hands.step()
            await stream.rest()
        texts = [way.text(event) for event in stream.events]
        assert [text for text in texts if text] == list(COUNT[:10])
        # Nothing else comes but what begins a chat, and the end.
        assert len(texts) <= 12
        if not way.is_openai:
            assert [event["completion_tokens"] for event in stream.events[:-1]] == [*range(1, 11)]


@every_way
@pytest.mark.parametrize("prompt", TOKENS)
async def test_characters_that_are_cut_between_tokens_arrive_whole(way: Way, prompt: str) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        hands = in_process(stage)
        stage.shut()
        async with client.stream(way, prompt, max_tokens=300) as stream, task_group() as tasks:
            tasks.start_soon(stream.rest)
            for _ in TOKENS[prompt]:
                await hands.held()
                await hands.step()
            stage.open()
        pieces = [piece for piece in map(way.text, stream.events) if piece]
        assert (stream.text, stream.finish_reason) == (SPEECH, "stop")
        assert len(pieces) > len(SPEECH) // 3
        assert not any("\ufffd" in piece for piece in pieces)
        assert await client.text(way, prompt, max_tokens=300) == SPEECH


@every_generate
async def test_a_token_that_is_only_a_part_of_a_character_is_an_event_too(way: Way) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        hands = in_process(stage)
        stage.shut()
        async with client.stream(way, "speech", max_tokens=300) as stream:
            for number in range(1, 20):
                await hands.held()
                await hands.step()
                assert (await stream.event())["completion_tokens"] == number
            assert stream.text == b"".join(TOKENS["speech"][:19]).decode(errors="ignore")
            stage.open()
            await stream.rest()


@every_way
async def test_a_stream_ends_with_how_it_ended_and_then_done(client: Asker, way: Way) -> None:
    stream = await client.read(way, "count", max_tokens=99)
    assert stream.kinds == ["data"] * len(stream.events) + ["done"]
    assert stream.items[-1].kind == "done"
    assert [way.finish_reason(event) for event in stream.events] == [None] * (len(stream.events) - 1) + ["stop"]
    assert way.text(stream.events[-1]) == ""


@every_way
async def test_a_text_that_is_empty_is_a_stream_all_the_same(client: Asker, way: Way) -> None:
    stream = await client.read(way, "nothing")
    assert (stream.text, stream.finish_reason) == ("", "stop")
    assert await client.text(way, "nothing") == ""


@every_way
async def test_a_connection_is_good_for_another_request_after_a_stream(client: Asker, way: Way) -> None:
    ports: set[int] = set()
    async with httpx2.AsyncClient(verify=False) as http:
        for _ in range(3):
            async with Asker(http, client.url).stream(way, "count", max_tokens=99) as stream:
                ports.add(stream.response.extensions["network_stream"].get_extra_info("client_addr")[1])
                assert (await stream.rest()).text == COUNT
    assert len(ports) == 1
