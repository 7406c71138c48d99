"""A request names a model that is not loaded, through whatever door."""

from itertools import pairwise
from typing import Any

import anyio
import httpx2
import pytest

from mcp_llama.errors import ModelLoadError
from mcp_llama.models.room import PoolBounds
from mcp_llama.server.progress import LOADED_KEY, PHASE_KEY
from mcp_llama.server.settings import ServerLimits
from tests.gate import PATIENCE_S
from tests.models.pools import SIZE, Closing, Shelf
from tests.server.client import task_group, text_of
from tests.server.plain.streams import asker
from tests.server.plain.ways import CHAT, GENERATE
from tests.server.raw import plain_http
from tests.server.serving import PLAIN_DOOR, Door, connected_http
from tests.server.shelved import ROUTES, SINGER, SMALL, TALKER, shelf, shelved

LIMITS = ServerLimits(heartbeat_s=0.02)
ONE = PoolBounds(memory=SIZE)
HI = [{"role": "user", "content": "hi"}]
TOOLS: dict[str, dict[str, Any]] = {
    "generate": {"prompt": "hi"},
    "chat": {"messages": HI},
    "embed": {"texts": ["hi"]},
    "count_tokens": {"text": "hi"},
}
DOORS = [Door("http", "modern"), Door("http", "legacy"), Door("sse", "legacy")]

every_tool = pytest.mark.parametrize("tool", TOOLS)
every_route = pytest.mark.parametrize("route", ROUTES)
one_of_each = pytest.mark.parametrize("route", ["/generate", "/generate/stream", "/v1/chat/completions", "/tokenize"])


async def post(http: httpx2.AsyncClient, url: str, route: str, model: str, **options: Any) -> httpx2.Response:
    with anyio.fail_after(PATIENCE_S):
        return await http.post(f"{url}{route}", json={**ROUTES[route], "model": model, **options})


@every_tool
@pytest.mark.parametrize("door", DOORS, ids=str)
async def test_a_tool_call_tells_how_far_its_model_is_and_then_what_it_says(tool: str, door: Door) -> None:
    models = shelf()
    models.hold(TALKER)
    async with shelved(models, limits=LIMITS) as url, connected_http(url, door) as client:
        call = client.tool_call(tool, {**TOOLS[tool], "model": "talker-gguf:q4_0"})
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            await models.waits(TALKER)
            await call.heard(lambda news: any(one["_meta"].get(LOADED_KEY) == 0.5 for one in news))
            waiting = list(call.notifications)
            assert call.outcome is None
            models.let_go()
        assert models.present == {SMALL, TALKER}
    progress = [one["progress"] for one in call.notifications]
    assert all(earlier < later for earlier, later in pairwise(progress)), progress
    assert {one["_meta"][PHASE_KEY] for one in waiting} == {"load"}
    assert all(one["progress"] < 1 for one in waiting)
    assert not any("message" in one for one in waiting)
    content: dict[str, Any] = call.result.structured_content or {}
    assert content.get("model", TALKER) == TALKER
    if tool in ("generate", "chat"):
        assert call.text == call.messages == "Talk, talk."
        assert LOADED_KEY not in call.notifications[-1]["_meta"]
    else:
        assert call.text


@every_tool
async def test_a_tool_call_of_a_model_that_is_there_tells_of_no_load(tool: str) -> None:
    async with shelved(shelf(), limits=LIMITS) as url, connected_http(url, PLAIN_DOOR) as client:
        await client.call("count_tokens", {"text": "first", "model": TALKER})
        call = await client.call(tool, {**TOOLS[tool], "model": TALKER})
    assert call.text
    assert {one["_meta"][PHASE_KEY] for one in call.notifications} <= {"queue", "prefill", "decode"}


@every_route
async def test_a_route_loads_the_model_that_its_body_names_and_answers_in_its_name(route: str) -> None:
    models = shelf()
    async with shelved(models) as url, plain_http() as http:
        named = await post(http, url, route, "TALKER-gguf:Q4_0")
        assert models.present == {SMALL, TALKER}
        default = await http.post(f"{url}{route}", json=ROUTES[route])
    assert (named.status_code, default.status_code) == (200, 200), named.text
    if route == "/generate/stream":
        assert TALKER in named.text
        assert SMALL in default.text
    elif "model" in named.json():
        assert (named.json()["model"], default.json()["model"]) == (TALKER, SMALL)
    else:
        assert route in ("/tokenize", "/detokenize", "/apply-template")


async def test_a_stream_goes_on_token_by_token_while_other_models_come_and_go() -> None:
    models = shelf()
    models.scripts[SMALL] = "abcdefghi"
    models.hold(SINGER)
    bounds = PoolBounds(memory=2 * SIZE)
    async with shelved(models, bounds) as url, asker(url) as client, plain_http() as http:
        await post(http, url, "/tokenize", TALKER)
        small = models.models[SMALL]
        small.gate.shut()
        async with task_group() as tasks, client.stream(GENERATE, "hi") as stream:
            await pass_tokens(small, stream.until_text)
            models.stick(TALKER)
            tasks.start_soon(post, http, url, "/generate", SINGER)
            await models.waits(TALKER)
            await pass_tokens(small, stream.event, 3)
            assert models.present == {SMALL, TALKER}, "what was freed while tokens came is not gone yet"
            models.let_go(TALKER)
            await models.waits(SINGER)
            await pass_tokens(small, stream.event, 3)
            assert models.present == {SMALL}
            models.let_go()
            small.gate.open()
            await stream.rest()
        assert models.present == {SMALL, SINGER}
    assert stream.text == "abcdefghi"
    assert models.loads == [SMALL, TALKER, SINGER]


async def pass_tokens(model: Closing, arrive: Any, count: int = 1) -> None:
    """Let decodes go one by one; what each brings arrives before the next."""
    for _ in range(count):
        await model.gate.held()
        model.gate.step()
        with anyio.fail_after(PATIENCE_S):
            await arrive()


async def test_two_who_want_one_room_get_it_in_turn_and_nothing_is_loaded_twice() -> None:
    models = shelf()
    async with shelved(models, ONE, LIMITS) as url, connected_http(url, PLAIN_DOOR) as client, plain_http() as http:
        calls = [client.tool_call(tool, {**TOOLS[tool], "model": TALKER}) for tool in TOOLS]
        async with task_group() as tasks:
            for call in calls:
                tasks.start_soon(call.run)
            for route in ROUTES:
                tasks.start_soon(post, http, url, route, SINGER)
        assert all(call.text for call in calls)
        assert sorted(models.loads[1:]) in ([SINGER, TALKER], [SINGER, SINGER, TALKER], [SINGER, TALKER, TALKER])
        assert models.most_taken == SIZE


@one_of_each
async def test_who_cannot_wait_for_a_load_is_told_when_to_come_again(
    route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_llama.server.loading._PATIENCE_S", 0.2)
    models = shelf()
    models.hold(TALKER)
    async with shelved(models) as url, plain_http() as http:
        late = await post(http, url, route, TALKER)
        models.let_go()
        monkeypatch.setattr("mcp_llama.server.loading._PATIENCE_S", PATIENCE_S)
        again = await post(http, url, route, TALKER)
    assert (late.status_code, late.headers["retry-after"]) == (503, "10")
    assert late.json()["error"]["message"].startswith("Server busy: the model is still loading (50%).")
    assert again.status_code == 200
    assert models.loads.count(TALKER) == 1


@one_of_each
async def test_who_waits_for_the_memory_of_others_is_told_so(route: str, monkeypatch: pytest.MonkeyPatch) -> None:
    models = shelf()
    async with shelved(models, ONE) as url, asker(url) as client, plain_http() as http:
        await post(http, url, "/tokenize", SMALL)
        models.models[SMALL].gate.shut()
        async with client.stream(GENERATE, "hi"):
            await models.models[SMALL].gate.held()
            monkeypatch.setattr("mcp_llama.server.loading._PATIENCE_S", 0.2)
            late = (
                await post(http, url, route, TALKER, stream=True)
                if "/v1" in route
                else await post(http, url, route, TALKER)
            )
    assert (late.status_code, late.headers["retry-after"]) == (503, "10")
    message = late.json()["error"]["message"]
    assert message.startswith("Server busy: other models are in use, and leave no memory for this one yet."), message
    assert models.loads == [SMALL]


async def test_a_tool_call_waits_for_the_memory_of_others_and_gives_up_after_its_time() -> None:
    models = shelf()
    async with (
        shelved(models, ONE, LIMITS) as url,
        asker(url) as client,
        connected_http(url, PLAIN_DOOR) as agent,
        plain_http() as http,
    ):
        await post(http, url, "/tokenize", SMALL)
        models.models[SMALL].gate.shut()
        patient = agent.tool_call("generate", {"prompt": "patient", "model": TALKER})
        async with task_group() as tasks:
            async with client.stream(CHAT, "hi"):
                await models.models[SMALL].gate.held()
                tasks.start_soon(patient.run)
                late = await agent.call("generate", {"prompt": "hasty", "model": TALKER, "max_time_s": 0.1})
                await patient.heard(lambda news: len(news) > 3)
                assert {one["_meta"][PHASE_KEY] for one in patient.notifications} == {"load"}
            models.models[SMALL].gate.open()
    assert text_of(late.result).startswith("Server busy: other models are in use")
    assert patient.text == "Talk, talk."


async def test_a_model_in_steady_use_gives_way_to_the_one_that_waits() -> None:
    models = shelf()
    async with (
        shelved(models, ONE, LIMITS) as url,
        asker(url) as client,
        connected_http(url, PLAIN_DOOR) as agent,
        plain_http() as http,
    ):
        await post(http, url, "/tokenize", SMALL)
        models.models[SMALL].gate.shut()
        first, second = (agent.tool_call("generate", {"prompt": name, "model": name}) for name in (TALKER, SMALL))
        async with task_group() as tasks:
            async with client.stream(CHAT, "hi"):
                await models.models[SMALL].gate.held()
                for call in (first, second):
                    tasks.start_soon(call.run)
                    await call.heard(lambda news: len(news) > 3)
                    await models.settled()
            models.models[SMALL].gate.open()
    assert (first.text, second.text) == ("Talk, talk.", "I am small.")
    assert models.loads == [SMALL, TALKER, SMALL]


@every_route
async def test_a_model_that_cannot_be_loaded_is_told_as_it_is(route: str) -> None:
    models = shelf()
    models.errors[TALKER] = ModelLoadError("Talker is damaged. Download it again.")
    async with shelved(models) as url, plain_http() as http:
        failed = await post(http, url, route, TALKER)
        again = await post(http, url, route, TALKER)
    assert failed.status_code == 503
    assert failed.json()["error"]["message"] == "Talker is damaged. Download it again."
    assert again.status_code == 200


@every_tool
async def test_a_tool_call_hears_why_its_model_cannot_be_loaded(tool: str) -> None:
    models = shelf()
    models.sizes[TALKER] = 3 * 2**30
    async with (
        shelved(models, PoolBounds(memory=2**30)) as url,
        connected_http(url, PLAIN_DOOR) as client,
    ):
        call = await client.call(tool, {**TOOLS[tool], "model": TALKER})
    assert call.result.is_error
    assert text_of(call.result).startswith(f"{TALKER} needs about 3.0 GiB, but models may take 1.0 GiB. Raise")


@every_route
async def test_a_request_for_what_is_loaded_looks_at_no_file(route: str) -> None:
    models = Shelf(SMALL, TALKER)
    async with shelved(models) as url, plain_http() as http:
        await post(http, url, route, "talker-gguf:q4_0")
        models.looks.clear()
        for name in ("talker-gguf:q4_0", TALKER, SMALL):
            assert (await post(http, url, route, name)).status_code == 200
    assert models.looks == []


async def test_a_tool_call_for_what_is_loaded_looks_at_no_file() -> None:
    models = shelf()
    async with shelved(models) as url, connected_http(url, PLAIN_DOOR) as client:
        await client.call("count_tokens", {"text": "first", "model": TALKER})
        models.looks.clear()
        for tool, arguments in TOOLS.items():
            assert (await client.call(tool, {**arguments, "model": TALKER})).text
            assert (await client.call(tool, arguments)).text
    assert models.looks == []
