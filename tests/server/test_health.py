"""GET /health, by which an operator's machinery sees how the server is."""

from mcp_llama.engine.model import DecodeError
from tests.server.plain.streams import asker
from tests.server.plain.ways import GENERATE
from tests.server.raw import plain_http, raw_http, tool_call
from tests.server.scene import Scene
from tests.server.serving import in_process, staged


async def test_health_follows_the_load() -> None:
    async with staged(Scene(holds_load=True)) as (stage, url), raw_http(url, "modern") as client:
        loading = await client.http.get(f"{url}/health")
        assert (loading.status_code, loading.json()) == (503, {"status": "loading", "model": "fake", "loaded": 0.5})
        await in_process(stage).finish_load()
        await client.post(tool_call("modern", 1, "count_tokens", {"text": "x"}))
        ready = await client.http.get(f"{url}/health")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready", "model": "fake", "loaded": 1.0})


async def test_health_says_why_a_load_failed() -> None:
    async with staged(Scene(load_error="model.gguf is damaged.")) as (_, url), raw_http(url, "modern") as client:
        await client.post(tool_call("modern", 1, "count_tokens", {"text": "x"}))
        failed = await client.http.get(f"{url}/health")
    assert failed.status_code == 503
    assert failed.json() == {"status": "failed", "model": "fake", "loaded": 0.5, "error": "model.gguf is damaged."}


async def test_health_answers_while_every_slot_is_taken_and_others_wait() -> None:
    async with staged(Scene(n_slots=1)) as (stage, url), asker(url) as client:
        stage.shut()
        async with client.stream(GENERATE, "first"), client.stream(GENERATE, "second"):
            await in_process(stage).held()
            await in_process(stage).made(2)
            busy = await client.http.get(f"{url}/health")
    assert (busy.status_code, busy.json()) == (200, {"status": "ready", "model": "fake", "loaded": 1.0})


async def test_health_survives_a_request_that_fails() -> None:
    async with staged(Scene()) as (stage, url), asker(url) as client:
        stage.model.fault = lambda _: DecodeError("the KV cache is full")
        assert (await client.whole(GENERATE, "x")).status_code == 500
        assert (await client.http.get(f"{url}/health")).status_code == 200


async def test_health_tells_of_a_broken_engine() -> None:
    async with staged(Scene()) as (stage, url), raw_http(url, "modern") as client:
        stage.model.fault = lambda _: AssertionError("secret")
        await client.post(tool_call("modern", 1, "generate", {"prompt": "x"}))
        broken = await client.http.get(f"{url}/health")
    assert broken.status_code == 503, "every call fails until the server is restarted"
    assert broken.json()["status"] == "failed"
    assert broken.json()["error"] == "The engine failed. Its log has the details; restart the server."


async def test_health_answers_only_get() -> None:
    async with staged(Scene()) as (_, url), plain_http() as http:
        assert (await http.post(f"{url}/health")).status_code == 405


async def test_health_answers_those_who_ask_for_no_body() -> None:
    async with staged(Scene(load_error="model.gguf is damaged.")) as (_, url), plain_http() as http:
        failed = await http.head(f"{url}/health")
    assert (failed.status_code, failed.content) == (503, b"")
