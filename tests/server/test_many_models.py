"""What a server of several models shows of them."""

import json
from typing import Any

import pytest
from mcp import MCPError
from mcp_types import ResourceTemplateReference, TextResourceContents
from openai import NotFoundError

from mcp_llama.errors import ModelLoadError
from mcp_llama.models.room import PoolBounds
from tests.models.pools import SIZE
from tests.server.client import Era, text_of
from tests.server.openai.clients import async_client
from tests.server.plain.counts import counts_of
from tests.server.plain.streams import asker
from tests.server.raw import plain_http
from tests.server.serving import PLAIN_DOOR, Door, connected_http, every_era
from tests.server.shelved import ROUTES, SINGER, SMALL, TALKER, shelf, shelved

CARD = "llama://models/{+name}"
OF_TALKER = "llama://models/acme%2FTalker-GGUF%3AQ4_0"


@pytest.mark.parametrize("route", ROUTES)
async def test_a_model_that_is_unknown_is_not_found(route: str) -> None:
    async with shelved(shelf()) as url, plain_http() as http:
        response = await http.post(f"{url}{route}", json={**ROUTES[route], "model": "gpt-9"})
    assert response.status_code == 404
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert (
        error["message"]
        == f"Unknown model 'gpt-9'. Available: {SINGER}, {TALKER}, {SMALL}. Omit model for the default."
    )


async def test_a_name_that_may_mean_several_models_is_refused_with_their_names() -> None:
    models = shelf()
    models.sizes["other/Singer"] = SIZE
    async with shelved(models) as url, plain_http() as http, connected_http(url, PLAIN_DOOR) as client:
        response = await http.post(f"{url}/v1/completions", json={"prompt": "hi", "model": "Singer"})
        call = await client.call("generate", {"prompt": "hi", "model": "Singer"})
    message = f"Singer may mean {SINGER} or other/Singer. Give one of these names."
    assert (response.status_code, response.json()["error"]["param"]) == (400, "model")
    assert response.json()["error"]["message"] == text_of(call.result) == message


@pytest.mark.parametrize("tool", ["generate", "count_tokens"])
async def test_a_tool_call_of_an_unknown_model_hears_which_there_are(tool: str) -> None:
    arguments = {"prompt": "hi"} if tool == "generate" else {"text": "hi"}
    async with shelved(shelf()) as url, connected_http(url, PLAIN_DOOR) as client:
        call = await client.call(tool, {**arguments, "model": "gpt-9"})
    assert call.result.is_error
    assert text_of(call.result).startswith(f"Unknown model 'gpt-9'. Available: {SINGER}, {TALKER}, {SMALL}.")


async def test_all_models_are_listed_with_their_states_the_default_one_first() -> None:
    models = shelf()
    models.errors[SINGER] = ModelLoadError("Singer is damaged.")
    async with shelved(models) as url, plain_http() as http, connected_http(url, PLAIN_DOOR) as client:
        for name in (SMALL, SINGER):
            await http.post(f"{url}/tokenize", json={"content": "hi", "model": name})
        tool = await client.call("models", {})
        listed = (await http.get(f"{url}/v1/models")).json()["data"]
    assert tool.text == f"{SMALL}: ready\n{TALKER}: unloaded\n{SINGER}: failed"
    shown: dict[str, Any] = tool.result.structured_content or {}
    assert [model["name"] for model in shown["models"]] == [SMALL, TALKER, SINGER]
    assert shown["models"][1] == {"name": TALKER, "state": "unloaded"}
    assert shown["models"][2] == {"name": SINGER, "state": "failed", "error": "Singer is damaged."}
    assert [(model["id"], model["status"]["value"]) for model in listed] == [
        (SMALL, "loaded"),
        (TALKER, "unloaded"),
        (SINGER, "unloaded"),
    ]
    assert listed[0]["meta"]["n_ctx"] == 512
    assert listed[1]["meta"] is None
    assert listed[2]["status"] == {"value": "unloaded", "loaded": 0.5, "failed": True, "error": "Singer is damaged."}


async def test_openai_s_client_finds_a_model_with_a_slash_in_its_name() -> None:
    models = shelf()
    async with shelved(models) as url, async_client(url) as client:
        assert [model.id async for model in client.models.list()] == [SMALL, TALKER, SINGER]
        assert (await client.models.retrieve(TALKER)).id == TALKER
        with pytest.raises(NotFoundError, match="gpt-9"):
            await client.models.retrieve("acme/gpt-9")
    assert models.loads == [SMALL], "to look at a model does not load it"


@every_era
async def test_every_model_has_a_card_and_its_name_is_completed(era: Era) -> None:
    async with shelved(shelf()) as url, connected_http(url, Door("http", era)) as connection:
        client = connection.client
        reference = ResourceTemplateReference(type="ref/resource", uri=CARD)
        some = await client.complete(reference, {"name": "name", "value": "acme/"})
        every = await client.complete(reference, {"name": "name", "value": ""})
        (content,) = (await client.read_resource(OF_TALKER)).contents
        (same,) = (await client.read_resource(f"llama://models/{TALKER}")).contents
        with pytest.raises(MCPError, match="gpt-9"):
            await client.read_resource("llama://models/acme%2Fgpt-9")
    assert some.completion.values == [TALKER, SINGER]
    assert every.completion.values == [SMALL, TALKER, SINGER]
    assert isinstance(content, TextResourceContents)
    assert isinstance(same, TextResourceContents)
    assert same.text == content.text
    card = json.loads(content.text)
    assert (card["name"], card["state"]) == (TALKER, "unloaded")


async def test_a_default_model_that_left_is_no_fault_and_comes_back() -> None:
    models = shelf()
    async with shelved(models, PoolBounds(memory=SIZE)) as url, plain_http() as http:
        await http.post(f"{url}/tokenize", json={"content": "hi", "model": TALKER})
        left = await http.get(f"{url}/health")
        answer = await http.post(f"{url}/generate", json={"prompt": "hi"})
        back = await http.get(f"{url}/health")
    assert (left.status_code, left.json()) == (200, {"status": "unloaded", "model": SMALL, "loaded": 0.0})
    assert answer.json()["text"] == "I am small."
    assert (back.status_code, back.json()) == (200, {"status": "ready", "model": SMALL, "loaded": 1.0})


async def test_what_is_counted_has_the_label_of_its_model() -> None:
    async with shelved(shelf(), PoolBounds(memory=SIZE)) as url, asker(url) as client:
        for name in (TALKER, SMALL, TALKER):
            await client.http.post(f"{url}/generate", json={"prompt": "hi", "model": name, "max_tokens": 3})
        text = (await client.http.get(f"{url}/metrics")).text
        counts = await counts_of(client)
    assert f'mcp_llama_requests_finished_total{{finish_reason="length",model="{TALKER}"}} 2.0' in text
    assert f'mcp_llama_requests_finished_total{{finish_reason="length",model="{SMALL}"}} 1.0' in text
    assert f'llamacpp:requests_processing{{model="{SMALL}"}} 0.0' in text
    assert text.count("# TYPE llamacpp:n_decode_total counter") == 1
    assert counts


async def test_tokens_of_a_model_whose_engine_broke_down_are_not_counted() -> None:
    models = shelf()
    async with shelved(models) as url, connected_http(url, PLAIN_DOOR) as client:
        await client.call("count_tokens", {"text": "first"})
        models.models[SMALL].fault = lambda _: AssertionError("secret")
        await client.call("generate", {"prompt": "hi"})
        call = await client.call("count_tokens", {"text": "second"})
    assert call.result.is_error
    assert text_of(call.result).startswith("The engine failed.")
