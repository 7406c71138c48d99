"""Pings: a stream without news shows on the wall clock that it is alive."""

from dataclasses import replace

import pytest

from mcp_llama.server.settings import ServerLimits
from tests.server.client import task_group
from tests.server.plain.streams import Stream, asker
from tests.server.plain.ways import COMPLETION, GENERATE, Way, every_way, one_of_each, scripts
from tests.server.scene import Scene
from tests.server.serving import in_process, staged

TEXT = "alive and well"
BIG = tuple(f"{number:03}".ljust(3000, ".") for number in range(100))
SCENE = Scene(scripts=scripts(long=BIG, **{"p" * 300: TEXT, "short": TEXT}), server=ServerLimits(ping_s=0.05))
SILENT = replace(SCENE, server=ServerLimits(ping_s=0))


async def hear_pings(stream: Stream, count: int) -> None:
    """Read until so many more pings came, and no text."""
    before = stream.comments.count("ping")
    while stream.comments.count("ping") < before + count:
        await stream.item()
    assert stream.text == ""


@every_way
async def test_a_request_in_the_queue_is_kept_alive(way: Way) -> None:
    async with staged(replace(SCENE, n_slots=1)) as (stage, url), asker(url) as client:
        stage.shut()
        async with client.stream(GENERATE, "first") as _, client.stream(way, "short") as stream:
            await in_process(stage).made(2)
            await hear_pings(stream, 3)
            assert stage.running() <= 1
            stage.open()
            assert (await stream.rest()).text == TEXT


@every_way
async def test_a_request_in_its_prefill_is_kept_alive(way: Way) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        hands = in_process(stage)
        stage.shut()
        async with client.stream(way, "p" * 300) as stream:
            for _ in range(3):
                await hands.held()
                await hear_pings(stream, 2)
                await hands.step()
            stage.open()
            assert (await stream.rest()).text == TEXT


@one_of_each
async def test_pings_do_not_wait_for_a_pause_in_the_work(way: Way) -> None:
    # A piece of the prompt is done in less than the interval, again and again, and none of them sends anything.
    scene = replace(SCENE, n_batch=8, decode_delay=0.02, server=ServerLimits(ping_s=0.15))
    async with staged(scene) as (_, url), asker(url) as client:
        stream = await client.read(way, "p" * 300, max_tokens=4)
    assert stream.comments.count("ping") >= 2
    assert stream.text == TEXT[:4]


@one_of_each
async def test_there_are_none_if_the_server_is_told_so(way: Way) -> None:
    async with staged(replace(SILENT, n_batch=8, decode_delay=0.02)) as (_, url), asker(url) as client:
        stream = await client.read(way, "p" * 300, max_tokens=4)
    assert stream.comments == ["open"]


@one_of_each
async def test_there_are_none_while_tokens_flow(way: Way) -> None:
    scene = replace(SCENE, scripts={}, decode_delay=0.05, server=ServerLimits(ping_s=1.5))
    async with staged(scene) as (_, url), asker(url) as client:
        stream = await client.read(way, "short", max_tokens=40)
    assert stream.comments == ["open"]


@every_way
async def test_pings_never_come_inside_an_event(way: Way) -> None:
    async with staged(replace(SCENE, server=ServerLimits(ping_s=0.0005))) as (_, url), asker(url) as client:
        stream = await client.read(way, "long", max_tokens=200)
    assert stream.text == "".join(BIG)


async def test_pings_go_on_between_the_choices_of_one_request() -> None:
    async with staged(replace(SCENE, n_slots=4)) as (stage, url), asker(url) as client:
        stage.shut()
        async with client.stream(COMPLETION, "short", n=3) as stream:
            await in_process(stage).made(3)
            await hear_pings(stream, 3)
            stage.open()
            await stream.rest()
    by_choice = dict.fromkeys(range(3), "")
    for event in stream.events:
        for choice in event["choices"]:
            by_choice[choice["index"]] += choice["text"]
    assert set(by_choice.values()) == {TEXT}


@every_way
@pytest.mark.parametrize("error", [None, "model.gguf is damaged."], ids=["loads", "does not load"])
async def test_nothing_is_sent_before_it_is_clear_that_there_will_be_a_stream(way: Way, error: str | None) -> None:
    scene = replace(SCENE, holds_load=True, load_error=error, server=ServerLimits(ping_s=0.001))
    async with staged(scene) as (stage, url), asker(url) as client, task_group() as tasks:

        async def ask() -> None:
            if error is not None:
                failed = await client.send(way.request("short"))
                assert failed.status_code == 503
                assert failed.json()["error"]["message"] == error
                return
            async with client.stream(way, "short") as stream:
                await hear_pings(stream, 3)
                stage.open()
                assert (await stream.rest()).text == TEXT

        stage.shut()
        tasks.start_soon(ask)
        for _ in range(5):
            await client.http.get(f"{url}/health")
        stage.finish_load()
