"""`/generate`: what a generation says of itself, and where it ends."""

import pytest

from mcp_llama.server.settings import ServerLimits
from tests.server.plain.streams import Asker, asker
from tests.server.plain.ways import GENERATE, Json, Way, every_generate, every_way, scripts
from tests.server.scene import SPEECH, Scene
from tests.server.serving import staged

TEXT = "and so on and so forth END of the story"
STRANGE = " a+b&c=d%20e/?#\n\t" + SPEECH
SCENE = Scene(scripts={**scripts(tale=TEXT, speech=SPEECH), STRANGE: "that one"})
ENDLESS = Scene(server=ServerLimits(max_tokens=7), n_ctx=64)
SLOW = Scene(decode_delay=0.005, n_ctx=2048, n_slots=1)


def check_timings(timings: Json, *, tokens: int) -> None:
    assert set(timings) == {"queue_ms", "ttft_ms", "total_ms", "tokens_per_second"}
    assert 0 <= timings["queue_ms"] <= timings["ttft_ms"] <= timings["total_ms"]
    assert (timings["tokens_per_second"] is None) == (tokens < 2)


async def test_the_last_event_and_the_whole_answer_tell_the_same() -> None:
    async with staged(SCENE) as (_, url), asker(url) as client:
        whole = (await client.whole(GENERATE, "tale", max_tokens=9, seed=5)).json()
        stream = await client.read(GENERATE, "tale", max_tokens=9, seed=5)
    assert whole.pop("text") == stream.text == TEXT[:9]
    for facts, cached in ((whole, 0), (stream.events[-1], 4)):
        check_timings(facts.pop("timings"), tokens=9)
        assert facts == {
            "finish_reason": "length",
            "stop": None,
            "model": "fake",
            "seed": 5,
            "usage": {"prompt_tokens": 5, "cached_tokens": cached, "completion_tokens": 9},
        }


@every_generate
async def test_a_seed_that_was_not_given_is_told(client: Asker, way: Way) -> None:
    seeds: set[int] = set()
    for _ in range(3):
        last = (await client.read(way, "tale", max_tokens=1)).events[-1]
        seeds.add(last["seed"])
        check_timings(last["timings"], tokens=1)
    seeds.add((await client.whole(way, "tale", max_tokens=1)).json()["seed"])
    assert len(seeds) == 4
    assert all(0 <= seed < 2**32 for seed in seeds)


@every_way
@pytest.mark.parametrize("stop", ["END", ["???", "END"], ["o", "and so forth END"]], ids=str)
async def test_a_stop_string_ends_the_text_and_is_not_part_of_it(
    client: Asker, way: Way, stop: str | list[str]
) -> None:
    stream = await client.read(way, "tale", max_tokens=100, stop=stop)
    whole = (await client.whole(way, "tale", max_tokens=100, stop=stop)).json()
    assert stream.text == way.text(whole) == ("and s" if "o" in stop else "and so on and so forth ")
    assert stream.finish_reason == way.finish_reason(whole) == "stop"
    if not way.is_openai:
        assert stream.events[-1]["stop"] == whole["stop"] == ("o" if "o" in stop else "END")


@every_way
async def test_what_could_become_a_stop_string_is_given_in_the_end(client: Asker, way: Way) -> None:
    stream = await client.read(way, "tale", max_tokens=100, stop=["story!"])
    assert (stream.text, stream.finish_reason) == (TEXT, "stop")


@every_generate
async def test_the_prompt_is_taken_as_it_is(client: Asker, way: Way) -> None:
    assert (await client.read(way, STRANGE)).text == "that one"


@every_generate
async def test_max_tokens_is_a_setting_of_the_server_unless_it_is_given(way: Way) -> None:
    async with staged(ENDLESS) as (_, url), asker(url) as client:
        stream = await client.read(way, "tale")
        assert (len(stream.text), stream.finish_reason) == (7, "length")
        assert len(await client.text(way, "tale")) == 7
        assert len((await client.read(way, "tale", max_tokens=40)).text) == 40


@every_way
async def test_a_text_may_take_all_that_the_context_has_left(way: Way) -> None:
    async with staged(ENDLESS) as (_, url), asker(url) as client:
        stream = await client.read(way, "tale", max_tokens=-1)
        assert len(stream.text) == 64 - 1 - len(way.rendered("tale"))
        assert stream.finish_reason == "length"
        assert len(await client.text(way, "tale", max_tokens=-1)) == len(stream.text)


@every_generate
async def test_the_default_gives_way_to_what_the_context_has_left(way: Way) -> None:
    async with staged(ENDLESS) as (_, url), asker(url) as client:
        stream = await client.read(way, "p" * 60)
        assert (len(stream.text), stream.finish_reason) == (3, "length")
        assert stream.events[-1]["usage"]["prompt_tokens"] == 61
        assert len(await client.text(way, "p" * 60)) == 3


@every_way
async def test_a_time_limit_ends_a_text_early(way: Way) -> None:
    async with staged(SLOW) as (_, url), asker(url) as client:
        stream = await client.read(way, "tale", max_tokens=1500, max_time_s=0.3)
        assert 0 < len(stream.text) < 1500
        assert stream.finish_reason == "time"
        whole = (await client.whole(way, "tale", max_tokens=1500, max_time_s=0.3)).json()
    assert 0 < len(way.text(whole)) < 1500
    assert way.finish_reason(whole) == "time"


@every_way
async def test_a_time_limit_counts_in_the_queue_too(way: Way) -> None:
    async with (
        staged(SLOW) as (_, url),
        asker(url) as client,
        client.stream(GENERATE, "other", max_tokens=1500) as other,
    ):
        await other.until_text()
        stream = await client.read(way, "tale", max_tokens=1500, max_time_s=0.1)
    assert (stream.text, stream.finish_reason) == ("", "time")
