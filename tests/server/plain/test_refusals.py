"""Requests that cannot be served: a status and a body that say what to change, before the first byte."""

import asyncio
from collections.abc import AsyncGenerator

import httpx2
import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.server import loading
from tests.server.client import task_group
from tests.server.plain.bad_requests import BAD_REQUESTS
from tests.server.plain.streams import Asker, asker
from tests.server.plain.ways import CHAT, COMPLETION, GENERATE, Json, Way, embeddings, every_way
from tests.server.scene import Scene
from tests.server.serving import in_process, staged

SCENE = Scene(scripts={None: "fine"})
ROUTES = ("/generate", "/generate/stream", "/v1/completions", "/v1/chat/completions", "/v1/embeddings", "/tokenize")
HUGE = 17 * 2**20


def error_of(response: httpx2.Response) -> Json:
    """The error in a response, which must be one that every client can read."""
    assert response.status_code >= 400, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) <= {"message", "type", "param", "code", "n_prompt_tokens", "n_ctx"}
    assert {"message", "type", "param", "code"} <= set(error)
    assert isinstance(error["message"], str)
    assert 0 < len(error["message"]) < 900
    assert not any(word in error["message"] for word in ("Traceback", "pydantic", "<class", "constrained"))
    return error


async def check_alive(client: Asker) -> None:
    assert await client.text(GENERATE, "well?") == "fine"


@pytest.mark.parametrize("name", BAD_REQUESTS)
@pytest.mark.parametrize("path", ["/generate", "/generate/stream", "query"])
async def test_a_request_that_cannot_be_served_says_what_to_change(client: Asker, path: str, name: str) -> None:
    bad = BAD_REQUESTS[name]
    if path == "query":
        if bad.query is None:
            return
        response = await client.http.get(f"{client.url}/generate/stream", params=bad.query)
    else:
        headers = {"Content-Type": bad.content_type}
        response = await client.http.post(f"{client.url}{path}", content=bad.content, headers=headers)
    assert response.status_code == bad.status
    error = error_of(response)
    assert error["type"] == "invalid_request_error"
    # What comes in a query comes as text.
    unquoted = str.maketrans("", "", "'" if path == "query" else "")
    assert bad.message.translate(unquoted) in error["message"].translate(unquoted)
    assert (error["param"], error["code"]) == (bad.param, bad.code)
    if bad.code == "context_length_exceeded":
        assert (error["n_prompt_tokens"], error["n_ctx"]) == (len(bad.body["prompt"]) + 1, 1024)
    await check_alive(client)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])
async def test_a_body_that_is_too_large_is_refused_on_every_route(client: Asker, path: str, is_chunked: bool) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        yield b'{"prompt": "'
        for _ in range(HUGE // 2**20):
            yield b"x" * 2**20
        yield b'"}'

    content = chunks() if is_chunked else b'{"prompt": "' + b"x" * HUGE + b'"}'
    headers = {"Content-Type": "application/json"}
    response = await client.http.post(f"{client.url}{path}", content=content, headers=headers)
    assert response.status_code == 413
    assert "16,777,216 bytes" in error_of(response)["message"]
    await check_alive(client)


async def test_a_body_is_refused_by_its_length_before_it_is_sent(client: Asker) -> None:
    address = httpx2.URL(client.url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    head = f"POST /generate HTTP/1.1\r\nHost: localhost:{address.port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {HUGE}\r\n\r\n".encode())
    try:
        assert b" 413 " in await asyncio.wait_for(reader.readline(), 10)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/generate", 405),
        ("PUT", "/generate/stream", 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/metrics", 405),
        ("PATCH", "/tokenize", 405),
        ("GET", "/generate/stream/more", 404),
        ("POST", "/completion", 404),
        ("GET", "/v1/models/gpt-9", 404),
        ("GET", "/v1/models/a%2fb", 404),
        ("GET", "/%ff%00\u2028/..%2f..%2fetc/passwd", 404),
    ],
)
async def test_what_is_not_there_is_told_in_the_same_shape(client: Asker, method: str, path: str, status: int) -> None:
    response = await client.http.request(method, f"{client.url}{path}")
    assert response.status_code == status
    error_of(response)
    if status == 405:
        assert response.headers["allow"]


@every_way
async def test_a_full_queue_says_when_to_come_back(way: Way) -> None:
    scene = Scene(scripts={None: "fine"}, n_slots=1, engine=EngineLimits(max_queue=1))
    async with staged(scene) as (stage, url), asker(url) as client:
        stage.shut()
        async with client.stream(way, "first") as first, client.stream(way, "second") as second:
            for request in (way.request("third"), way.request("third", stream=False), embeddings("third")):
                refused = await client.send(request)
                assert refused.status_code == 429
                assert int(refused.headers["retry-after"]) >= 1
                error = error_of(refused)
                assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
                assert error["message"].startswith("Server busy: 1 requests are waiting already. Try again in about ")
            stage.open()
            assert (await first.rest()).text == (await second.rest()).text == "fine"
        await check_alive(client)


@pytest.mark.parametrize("way", [COMPLETION, CHAT], ids=str)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_choices_that_do_not_all_fit_the_queue_are_refused_together(way: Way, stream: bool) -> None:
    scene = Scene(scripts={None: "fine"}, n_slots=1, engine=EngineLimits(max_queue=2))
    async with staged(scene) as (stage, url), asker(url) as client:
        stage.shut()
        async with client.stream(GENERATE, "first") as first:
            refused = await client.send(way.request("x", stream=stream, n=3))
            assert refused.status_code == 429
            assert error_of(refused)["code"] == "rate_limit_exceeded"
            stage.open()
            assert (await first.rest()).text == "fine"
        ends = await in_process(stage).ended(3)
        assert sorted(end.reason for end in ends) == ["abort", "abort", "stop"]
        all_three = await client.send(way.request("x", stream=False, n=3))
        assert len(all_three.json()["choices"]) == 3


@every_way
async def test_requests_wait_for_the_model(way: Way) -> None:
    async with staged(Scene(scripts={None: "fine"}, holds_load=True)) as (stage, url), asker(url) as client:
        texts: list[str] = []

        async def ask() -> None:
            texts.append((await client.read(way, "early")).text)
            texts.append(await client.text(way, "early"))

        async with task_group() as tasks:
            tasks.start_soon(ask)
            await in_process(stage).finish_load()
        assert texts == ["fine", "fine"]


@every_way
async def test_a_model_that_takes_long_to_load_is_worth_another_try(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_PATIENCE_S", 0.05)
    async with staged(Scene(scripts={None: "fine"}, holds_load=True)) as (stage, url), asker(url) as client:
        tokenize = {"method": "POST", "path": "/tokenize", "json": {"content": "x"}}
        for request in (way.request("x"), way.request("x", stream=False), embeddings("x"), tokenize):
            refused = await client.send(request)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            error = error_of(refused)
            assert error["type"] == "unavailable_error"
            assert "the model is still loading (50%)" in error["message"]
        monkeypatch.undo()
        stage.finish_load()
        await check_alive(client)


@every_way
async def test_a_model_that_could_not_be_loaded_is_told_to_all(way: Way) -> None:
    async with staged(Scene(load_error="model.gguf is damaged.")) as (_, url), asker(url) as client:
        for request in (way.request("x"), way.request("x", stream=False), embeddings("x")):
            failed = await client.send(request)
            assert failed.status_code == 503
            assert error_of(failed)["message"] == "model.gguf is damaged."
            assert "retry-after" not in failed.headers


@every_way
async def test_a_defect_before_the_first_byte_is_told_without_its_text(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> list[int]:
        raise ZeroDivisionError("secret")

    async with staged(SCENE) as (stage, url), asker(url) as client:
        monkeypatch.setattr(stage.model, "tokenize", fail)
        for request in (way.request("x"), way.request("x", stream=False), embeddings("x")):
            failed = await client.send(request)
            assert failed.status_code == 500
            assert error_of(failed)["message"] == "The server failed. Its log has the details."
            assert "secret" not in failed.text
        monkeypatch.undo()
        await check_alive(client)
