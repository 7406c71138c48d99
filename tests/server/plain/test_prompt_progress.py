"""`return_progress`: how far a prompt is."""

from tests.server.plain.streams import Stream, asker
from tests.server.plain.ways import Json, Way, every_generate, every_way
from tests.server.scene import Scene
from tests.server.serving import in_process, staged

SCENE = Scene(n_batch=64)
LONG = "p" * 200


def news_of(stream: Stream) -> list[Json]:
    return [event["prompt_progress"] for event in stream.events if "prompt_progress" in event]


@every_way
async def test_progress_grows_with_every_batch_until_the_whole_prompt_is_computed(way: Way) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        total = len(way.rendered(LONG)) + 1
        steps = [*range(0, total, 64), total]
        hands = in_process(stage)
        stage.shut()
        async with client.stream(way, LONG, max_tokens=3, return_progress=True) as stream:
            for number, processed in enumerate(steps):
                await hands.held()
                while len(news_of(stream)) == number:
                    await stream.event()
                news = dict(news_of(stream)[-1])
                assert news.pop("time_ms") >= 0
                assert news == {"total": total, "cache": 0, "processed": processed}
                await hands.step()
            stage.open()
            await stream.rest()
        assert len(stream.text) == 3
        assert len(news_of(stream)) == len(steps)


@every_way
async def test_progress_tells_what_was_in_the_cache(way: Way) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        total = len(way.rendered(LONG)) + 1
        await client.text(way, LONG, max_tokens=1)
        stage.shut()
        async with client.stream(way, LONG, max_tokens=1, return_progress=True) as stream:
            while not news_of(stream):
                await stream.event()
            stage.open()
            await stream.rest()
    told = [(news["total"], news["cache"], news["processed"]) for news in news_of(stream)]
    assert told == [(total, total - 1, total - 1), (total, total - 1, total)]


@every_way
async def test_there_is_no_progress_for_those_who_did_not_ask(way: Way) -> None:
    async with staged(SCENE) as (_, url), asker(url) as client:
        assert not news_of(await client.read(way, LONG, max_tokens=2))


@every_generate
async def test_progress_is_not_told_twice_when_the_time_is_over_in_the_middle_of_a_prompt(way: Way) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        hands = in_process(stage)
        stage.shut()
        async with client.stream(way, LONG, max_time_s=0.5, return_progress=True) as stream:
            await hands.held()
            await hands.step()
            await hands.held()
            while not any(news["processed"] for news in news_of(stream)):
                await stream.event()
            stage.model.decode_delay = 0.6
            stage.open()
            await stream.rest()
    processed = [news["processed"] for news in news_of(stream)]
    assert processed[:2] == [0, 64]
    assert processed == sorted(set(processed))
    assert max(processed) < len(LONG)
    assert (stream.text, stream.finish_reason) == ("", "time")
