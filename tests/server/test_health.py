"""GET /health, by which an operator's machinery sees how the server is."""

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
    body = failed.json()
    assert body["status"] == "failed"
    assert body["error"] == "model.gguf is damaged."


async def test_health_tells_of_a_broken_engine() -> None:
    async with staged(Scene()) as (stage, url), raw_http(url, "modern") as client:
        stage.model.fault = lambda _: AssertionError("secret")
        await client.post(tool_call("modern", 1, "generate", {"prompt": "x"}))
        broken = await client.http.get(f"{url}/health")
    assert broken.status_code == 503, "every call fails until the server is restarted"
    assert "secret" not in broken.text


async def test_health_answers_only_get() -> None:
    async with staged(Scene()) as (_, url), plain_http() as http:
        assert (await http.post(f"{url}/health")).status_code == 405
