"""What goes wrong after the first byte: an event says it, and the stream ends without `[DONE]`."""

import signal

import pytest

from mcp_llama.engine.model import DecodeError, Rows
from mcp_llama.server import generate
from mcp_llama.server.openai import choices
from tests.server.plain.streams import Stream, asker
from tests.server.plain.ways import COMPLETION, GENERATE, Json, Way, every_way, scripts
from tests.server.scene import Scene
from tests.server.serving import in_process, staged

TEXT = "a tale that has just begun"
FAILED = "The engine failed. Its log has the details; restart the server."
SCENE = Scene(scripts=scripts(tale=TEXT, other="fine"))


def fail_on_j(rows: Rows) -> Exception | None:
    return DecodeError("the KV cache is full") if ord("j") in rows.tokens else None


def check_broken(stream: Stream, kind: str) -> Json:
    """The stream ended with an error after text, and that is in the shape of every error; the error."""
    assert stream.kinds == ["data"] * len(stream.events) + ["error"]
    assert stream.items[-1].kind == "error"
    (error,) = stream.items[-1].data.values()
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == kind
    return error


@every_way
async def test_a_decode_that_fails_ends_only_the_stream_at_fault(way: Way) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        stage.model.fault = fail_on_j
        hands = in_process(stage)
        stage.shut()
        async with client.stream(way, "tale", max_tokens=99) as bad, client.stream(way, "other") as good:
            await hands.made(2)
            while len(bad.text) < 5:
                await hands.held()
                await hands.step()
                await bad.item()
            stage.open()
            await bad.rest()
            await good.rest()
        assert TEXT.startswith(bad.text)
        error = check_broken(bad, "server_error")
        assert error["message"] == "llama.cpp could not compute this request: the KV cache is full"
        assert (good.text, good.finish_reason) == ("fine", "stop")
        whole = await client.whole(way, "tale", max_tokens=99)
        assert whole.status_code == 500
        assert whole.json()["error"] == error
        assert await client.text(way, "other") == "fine"


@every_way
async def test_text_that_was_not_read_yet_comes_before_the_error(way: Way) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        stage.model.fault = fail_on_j
        stage.shut()
        async with client.stream(way, "tale", max_tokens=99) as stream:
            await in_process(stage).held()
            stage.open()
            # The engine fails while the event loop is held up here.
            stage.quiet()
            await stream.rest()
        check_broken(stream, "server_error")
        assert len(stream.text) == stage.ended(1)[0].completion_tokens > 9


@every_way
async def test_a_defect_of_the_engine_is_told_without_its_text(way: Way) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        stage.shut()
        async with client.stream(way, "tale", max_tokens=99) as stream:
            await in_process(stage).held()
            stage.model.fault = lambda rows: AssertionError(f"secret {rows}")
            stage.open()
            await stream.rest()
        assert check_broken(stream, "server_error")["message"] == FAILED
        later = await client.whole(way, "other")
        assert later.status_code == 500
        assert later.json()["error"]["message"] == FAILED


@every_way
async def test_a_defect_of_the_server_is_told_without_its_text(
    way: Way, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    async with staged(SCENE) as (stage, url), asker(url) as client:
        with monkeypatch.context() as patched:
            patched.setattr(generate, "check_complete", fail)
            patched.setattr(choices, "check_complete", fail)
            stream = await client.read(way, "tale", max_tokens=99)
            whole = await client.whole(way, "tale", max_tokens=99)
        assert stream.text == TEXT
        assert check_broken(stream, "server_error")["message"] == "The server failed. Its log has the details."
        assert whole.status_code == 500
        assert "secret" not in whole.text
        assert "secret" in caplog.text
        assert await client.text(way, "other") == "fine"
        assert stage.running() == 0


async def test_a_request_that_turns_out_to_be_impossible_is_told_like_any_other() -> None:
    async with staged(SCENE) as (_, url), asker(url) as client:
        stream = await client.read(GENERATE, "tale", logit_bias={"99999": 1})
    error = check_broken(stream, "invalid_request_error")
    assert "the vocabulary ends at" in error["message"]


@every_way
async def test_a_server_that_stops_delivers_what_it_has_and_says_that_it_stops(way: Way) -> None:
    async with staged(Scene(n_ctx=4096)) as (stage, url), asker(url) as client:
        async with client.stream(way, "endless", max_tokens=3000, ignore_eos=True) as stream:
            await stream.until_text()
            signal.raise_signal(signal.SIGTERM)
            await stream.rest()
        (end,) = await in_process(stage).ended(1)
    assert end.reason == "abort"
    assert len(stream.text) == end.completion_tokens > 0
    error = check_broken(stream, "unavailable_error")
    assert "Try again" in error["message"]


async def test_one_choice_that_fails_ends_the_others_too() -> None:
    async with staged(Scene(scripts=SCENE.scripts, n_slots=4)) as (stage, url), asker(url) as client:
        stage.model.fault = fail_on_j
        request = COMPLETION.request("", max_tokens=900)
        request["json"]["prompt"] = ["tale", "endless", "endless too"]
        async with client.http.stream(url=f"{url}{request.pop('path')}", **request) as response:
            stream = await Stream(COMPLETION, response).rest()
        check_broken(stream, "server_error")
        ends = await in_process(stage).ended(3)
        assert [end.reason for end in ends] == ["abort"] * 3
        assert await client.text(COMPLETION, "other") == "fine"
