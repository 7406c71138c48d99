"""`/metrics`: what an operator's machinery reads."""

from prometheus_client.parser import text_string_to_metric_families

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.model import DecodeError
from tests.server.plain.counts import counts_of
from tests.server.plain.streams import Asker, asker
from tests.server.plain.ways import GENERATE, embeddings
from tests.server.scene import MODEL_NAME, Scene
from tests.server.serving import in_process, staged

SCENE = Scene(scripts={None: "12345678"}, n_slots=1, engine=EngineLimits(max_queue=1))
LLAMA_CPP = {
    "llamacpp:prompt_tokens": "counter",
    "llamacpp:prompt_seconds": "counter",
    "llamacpp:tokens_predicted": "counter",
    "llamacpp:tokens_predicted_seconds": "counter",
    "llamacpp:n_decode": "counter",
    "llamacpp:n_tokens_max": "gauge",
    "llamacpp:prompt_tokens_seconds": "gauge",
    "llamacpp:predicted_tokens_seconds": "gauge",
    "llamacpp:requests_processing": "gauge",
    "llamacpp:requests_deferred": "gauge",
    "llamacpp:n_busy_slots_per_decode": "gauge",
}
"""The names of llama.cpp's own server, for the dashboards that know them."""
OWN = {
    "mcp_llama_ttft_seconds": "histogram",
    "mcp_llama_itl_seconds": "histogram",
    "mcp_llama_queue_seconds": "histogram",
    "mcp_llama_batch_rows": "histogram",
    "mcp_llama_prefix_cache_hits": "counter",
    "mcp_llama_prefix_cache_misses": "counter",
    "mcp_llama_requests_finished": "counter",
    "mcp_llama_requests_failed": "counter",
    "mcp_llama_requests_cancelled": "counter",
    "mcp_llama_requests_stalled": "counter",
    "mcp_llama_requests_refused": "counter",
    "mcp_llama_reader_pauses": "counter",
}


async def test_metrics_are_in_the_text_format_of_prometheus(client: Asker) -> None:
    response = await client.http.get(f"{client.url}/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert {name: families[name].type for name in LLAMA_CPP | OWN} == LLAMA_CPP | OWN
    assert all(family.documentation for name, family in families.items() if name in LLAMA_CPP | OWN)


async def test_metrics_are_there_while_the_model_loads() -> None:
    async with staged(Scene(holds_load=True)) as (_, url), asker(url) as client:
        assert (await counts_of(client))["llamacpp:n_decode_total"] == 0


async def test_tokens_and_times_are_counted() -> None:
    async with staged(SCENE) as (_, url), asker(url) as client:
        before = await counts_of(client)
        # Threads of this process that Python does not know may have worked before.
        begun = ("_created", "mcp_llama_llama_cpu_seconds_total")
        assert not any(value for name, value in before.items() if "llama" in name and not name.endswith(begun))
        await client.read(GENERATE, "first")
        await client.text(GENERATE, "first", max_tokens=5)
        counts = await counts_of(client)
    assert counts["llamacpp:prompt_tokens_total"] == 7
    assert counts["llamacpp:prompt_tokens_cached_total"] == 5
    # The token that says the end is sampled too.
    assert counts["llamacpp:tokens_predicted_total"] == 9 + 5
    assert counts["llamacpp:n_decode_total"] == 9 + 5
    assert counts["llamacpp:n_tokens_max"] == 6 + 8
    assert counts["llamacpp:n_busy_slots_per_decode"] == 1
    assert counts["mcp_llama_requests_finished_total"] == 2
    assert (counts["mcp_llama_prefix_cache_hits_total"], counts["mcp_llama_prefix_cache_misses_total"]) == (1, 1)
    assert counts["mcp_llama_ttft_seconds_count"] == counts["mcp_llama_queue_seconds_count"] == 2
    assert counts["mcp_llama_itl_seconds_count"] == 8 + 4
    for name in ("prompt_seconds_total", "tokens_predicted_seconds_total", "predicted_tokens_seconds"):
        assert counts[f"llamacpp:{name}"] > 0


async def test_it_shows_who_runs_who_waits_and_who_was_refused() -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        stage.shut()
        async with client.stream(GENERATE, "first"), client.stream(GENERATE, "second"):
            await in_process(stage).held()
            await in_process(stage).made(2)
            await client.send(embeddings("third"))
            await client.whole(GENERATE, "fourth")
            counts = await counts_of(client)
            assert counts["llamacpp:requests_processing"] == 1
            assert counts["mcp_llama_requests_refused_total"] == 2
        await in_process(stage).stopped(2)
        stage.open()
        await in_process(stage).ended(2)
        counts = await counts_of(client)
        assert (counts.present, counts.cancelled) == (0, 2)


async def test_what_ends_and_what_fails_are_counted_apart() -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        for max_tokens in (3, 99, 99):
            await client.text(GENERATE, "text", max_tokens=max_tokens)
        stage.model.fault = lambda _: DecodeError("the KV cache is full")
        await client.whole(GENERATE, "fails")
        response = await client.http.get(f"{url}/metrics")
    (family,) = [
        family
        for family in text_string_to_metric_families(response.text)
        if family.name == "mcp_llama_requests_finished"
    ]
    by_reason = {
        sample.labels["finish_reason"]: sample.value for sample in family.samples if sample.name.endswith("_total")
    }
    assert by_reason == {"length": 1, "stop": 2}
    assert f'mcp_llama_requests_failed_total{{model="{MODEL_NAME}"}} 1.0' in response.text
