"""The chunks of a stream on the wire, one after the other."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.fake_model import FakeModel
from tests.server.hands import Hands
from tests.server.openai.clients import step
from tests.server.plain.streams import Stream, asker
from tests.server.plain.ways import CHAT, COMPLETION, Json, Way
from tests.server.scene import Scene
from tests.server.serving import in_process, staged

OBJECTS = {CHAT: "chat.completion.chunk", COMPLETION: "text_completion"}
ENVELOPE = {"id", "created", "model", "system_fingerprint", "object", "choices"}
WORDS = ["one", " two", " three"]
both_ways = pytest.mark.parametrize("way", [CHAT, COMPLETION], ids=str)


@asynccontextmanager
async def held_stream(way: Way, scene: Scene, **options: Any) -> AsyncGenerator[tuple[FakeModel, Hands, Stream]]:
    """A model whose decodes wait for the test, and a stream of it."""
    async with staged(scene) as (stage, url), asker(url) as client:
        stage.shut()
        async with client.stream(way, "Count.", **options) as stream:
            yield stage.model, in_process(stage), stream


def choice_of(event: Json) -> Json:
    (choice,) = event["choices"]
    return choice


async def test_a_chat_opens_with_the_role_before_anything_is_computed() -> None:
    async with held_stream(CHAT, Scene()) as (_, stage, stream):
        opening = await stream.event()
        await stage.held()
        assert await stage.decodes() == 1
    assert choice_of(opening) == {
        "index": 0,
        "delta": {"role": "assistant", "content": ""},
        "logprobs": None,
        "finish_reason": None,
    }


@both_ways
async def test_each_token_leaves_before_the_next_one_is_computed(way: Way) -> None:
    async with held_stream(way, Scene(scripts={None: WORDS})) as (_, stage, stream):
        if way is CHAT:
            await stream.event()
        for word in WORDS:
            await step(stage)
            event = await stream.event()
            assert way.text(event) == word
            assert choice_of(event)["finish_reason"] is None
        await step(stage, ends=True)
        await stream.rest()
    assert stream.kinds[-2:] == ["data", "done"]
    nothing: Json = {"delta": {}} if way is CHAT else {"text": ""}
    assert choice_of(stream.events[-1]) == {"index": 0, **nothing, "logprobs": None, "finish_reason": "stop"}
    assert len(stream.events) == len(WORDS) + 1 + (way is CHAT)


@both_ways
@pytest.mark.parametrize("n", [1, 3])
async def test_a_stream_ends_with_finish_usage_and_done(way: Way, n: int) -> None:
    async with staged(Scene(scripts={None: WORDS})) as (_, url), asker(url) as client:
        stream = await client.read(way, "Count.", n=n, stream_options={"include_usage": True})
    *chunks, usage = stream.events
    assert stream.kinds[-1] == "done"
    assert all(set(chunk) - {"timings"} == ENVELOPE | {"usage"} for chunk in stream.events)
    assert all(chunk["usage"] is None for chunk in chunks)
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 3 * n
    lasts = [chunk for chunk in chunks if choice_of(chunk)["finish_reason"]]
    assert sorted(choice_of(chunk)["index"] for chunk in lasts) == list(range(n))
    assert all("timings" in chunk for chunk in lasts)
    assert chunks[-1] is lasts[-1]


@both_ways
async def test_all_chunks_of_a_stream_have_one_envelope_and_no_usage_unless_asked(way: Way) -> None:
    heads: list[Json] = []
    async with staged(Scene(scripts={None: WORDS})) as (_, url), asker(url) as client:
        for _ in range(2):
            stream = await client.read(way, "Count.")
            assert all(set(event) - {"timings"} == ENVELOPE for event in stream.events)
            seen = [{**event, "choices": None, "timings": None} for event in stream.events]
            assert seen == [seen[0]] * len(seen)
            heads.append(seen[0])
    assert (heads[0]["object"], heads[0]["model"]) == (OBJECTS[way], "fake")
    assert heads[0]["id"] != heads[1]["id"]


async def test_log_probabilities_come_with_the_text_of_their_tokens() -> None:
    pieces = ["Gr", b"\xc3", b"\xbc", "n"]
    heard: list[tuple[str, bytes]] = []
    async with held_stream(CHAT, Scene(scripts={None: pieces}), logprobs=True) as (_, stage, stream):
        await stream.event()
        for has_text in (True, False, True, True):
            await step(stage)
            if has_text:
                choice = choice_of(await stream.event())
                parts = b"".join(bytes(entry["bytes"]) for entry in choice["logprobs"]["content"])
                heard.append((choice["delta"]["content"], parts))
        await stage.open()
        await stream.rest()
    assert heard == [(text, text.encode()) for text in ("Gr", "ü", "n")]
    assert choice_of(stream.events[-1])["logprobs"] is None


async def test_a_token_that_never_became_text_has_its_entry_too() -> None:
    async with held_stream(CHAT, Scene(scripts={None: ["a", b"\xe2"]}), logprobs=True) as (_, stage, stream):
        await stream.event()
        for ends in (False, False, True):
            await step(stage, ends=ends)
        await stream.rest()
    told = [choice_of(event)["logprobs"] for event in stream.events]
    assert [bytes(entry["bytes"]) for each in told if each for entry in each["content"]] == [b"a", b"\xe2"]
    assert stream.text == "a"


@both_ways
async def test_a_failure_in_mid_stream_is_an_event_and_there_is_no_done(way: Way) -> None:
    async with held_stream(way, Scene(), max_tokens=9) as (model, stage, stream):
        await step(stage)
        model.fault = lambda _: AssertionError("secret")
        await stage.open()
        *_, last = (await stream.rest()).items
    assert last.kind == "error"
    assert last.data["error"]["type"] == "server_error"
    assert "secret" not in last.message
