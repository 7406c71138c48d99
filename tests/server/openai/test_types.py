"""Responses against the types of OpenAI's client, which itself reads whatever comes."""

from typing import Any

import httpx2
import pytest
from openai import AsyncOpenAI
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.shared import ErrorObject
from pydantic import BaseModel

from tests.server.openai.clients import Play, ask, asked
from tests.server.plain.streams import asker
from tests.server.plain.ways import CHAT, COMPLETION
from tests.server.raw import plain_http
from tests.server.scene import SPEECH, Scene, split_bytes

SCENE = Scene(scripts={None: split_bytes(SPEECH, 3)})
OPTIONS: list[dict[str, Any]] = [{}, {"n": 2, "max_tokens": 3}, {"max_tokens": 5, "seed": 1}]


async def answer(url: str, path: str, body: Any = None) -> httpx2.Response:
    async with plain_http() as http:
        if body is None:
            return await http.get(f"{url}{path}")
        return await http.post(f"{url}{path}", json=body)


def check(kind: type[BaseModel], data: Any) -> None:
    """The data has every field of the type, nothing of another type, and no null where the type has none."""
    assert kind.model_validate(data, strict=True)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("logprobs", [False, True], ids=["", "logprobs"])
async def test_whole_responses_are_of_their_types(play: Play, options: dict[str, Any], logprobs: bool) -> None:
    of_chat = {"logprobs": True, "top_logprobs": 2} if logprobs else {}
    of_completion = {"logprobs": 2} if logprobs else {}
    chat = await answer(play.url, "/v1/chat/completions", {**asked("chat"), **options, **of_chat})
    completion = await answer(play.url, "/v1/completions", {**asked("completions"), **options, **of_completion})
    check(ChatCompletion, chat.json())
    check(Completion, completion.json())


async def test_an_answer_has_a_refusal_that_is_none(play: Play) -> None:
    (choice,) = (await answer(play.url, "/v1/chat/completions", asked("chat"))).json()["choices"]
    message = {"role": "assistant", "content": SPEECH, "refusal": None}
    assert choice == {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}


@pytest.mark.parametrize("options", OPTIONS)
async def test_chunks_are_of_their_types(play: Play, options: dict[str, Any]) -> None:
    usage = {"stream_options": {"include_usage": True}}
    async with asker(play.url) as client:
        chat = await client.read(CHAT, "x", **options, **usage, logprobs=True)
        completion = await client.read(COMPLETION, "x", **options, **usage, logprobs=1)
    for chunk in chat.events:
        check(ChatCompletionChunk, chunk)
    for chunk in completion.events:
        # The types say nothing of the chunks of completions; these have no reason until the end, as OpenAI's have.
        choices = [{**choice, "finish_reason": choice["finish_reason"] or "stop"} for choice in chunk["choices"]]
        check(Completion, {**chunk, "choices": choices})


async def test_vectors_models_and_errors_are_of_their_types(play: Play) -> None:
    check(CreateEmbeddingResponse, (await answer(play.url, "/v1/embeddings", {"input": ["x", "y"]})).json())
    models = (await answer(play.url, "/v1/models")).json()
    assert models["object"] == "list"
    for model in models["data"]:
        check(Model, model)
        assert (await answer(play.url, f"/v1/models/{model['id']}")).json() == model
    for path, body in (("/v1/completions", {}), ("/v1/completions", {"prompt": "x" * 3000}), ("/v1/models/x", None)):
        refused = await answer(play.url, path, body)
        assert refused.status_code in (400, 404)
        check(ErrorObject, refused.json()["error"])


async def test_types_of_the_real_model_are_no_others(client: AsyncOpenAI, real_url: str) -> None:
    body = {**asked("chat"), "max_tokens": 4, "logprobs": True, "top_logprobs": 2}
    check(ChatCompletion, (await answer(real_url, "/v1/chat/completions", body)).json())
    check(CreateEmbeddingResponse, (await answer(real_url, "/v1/embeddings", {"input": "x"})).json())
    assert (await ask(client, "chat", max_tokens=4)).responses[0].model_dump()
