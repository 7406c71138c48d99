"""Every field that OpenAI's client can send is honoured, or refused by its name."""

from typing import Any, cast

import openai
import pytest
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.server.openai.requests import ChatIn, CompletionIn, EmbeddingsIn
from tests.server.openai.clients import Kind, Play, asked, create
from tests.server.openai.fields import CHAT, COMPLETIONS, EMBEDDINGS, Field
from tests.server.scene import MODEL_NAME, Scene

SCENE = Scene(scripts={None: "fine"}, engine=EngineLimits(max_queue=128))
TABLES: dict[str, dict[str, Field]] = {"chat": CHAT, "completions": COMPLETIONS, "embeddings": EMBEDDINGS}
BODIES = {"chat": ChatIn, "completions": CompletionIn, "embeddings": EmbeddingsIn}
TYPES: dict[str, tuple[Any, ...]] = {
    "chat": (
        chat_create_params.CompletionCreateParamsNonStreaming,
        chat_create_params.CompletionCreateParamsStreaming,
    ),
    "completions": (
        completion_create_params.CompletionCreateParamsNonStreaming,
        completion_create_params.CompletionCreateParamsStreaming,
    ),
    "embeddings": (embedding_create_params.EmbeddingCreateParams,),
}
REQUIRED = {"messages", "prompt", "input"}
every_route = pytest.mark.parametrize("name", TABLES)


def cases(outcome: str) -> list[Any]:
    """Each value of each field of an outcome."""
    return [
        pytest.param(name, field, {**values.beside, field: value}, id=f"{name}-{field}-{value!r:.40}")
        for name, table in TABLES.items()
        for field, values in table.items()
        for value in getattr(values, outcome)
    ]


async def send(play: Play, name: str, body: dict[str, Any]) -> Any:
    """Send a body that the types of the client would not allow."""
    if name == "embeddings":
        return await play.client.embeddings.create(model=MODEL_NAME, input="x", extra_body=body)
    kind = cast(Kind, name)
    response = await create(play.client, kind)(**asked(kind), stream=body.get("stream", False), extra_body=body)
    return [chunk async for chunk in response] if body.get("stream") else response


@every_route
def test_every_field_of_the_client_is_in_the_table(name: str) -> None:
    fields = set[str]().union(*(each.__annotations__ for each in TYPES[name]))
    assert fields == set(TABLES[name])


@every_route
def test_the_table_says_what_the_server_knows(name: str) -> None:
    accepted = {field for field, values in TABLES[name].items() if values.accepted}
    assert accepted <= set(BODIES[name].model_fields)


@pytest.mark.parametrize(("name", "field", "body"), cases("accepted"))
async def test_a_value_that_can_be_honoured_or_changes_nothing_is_accepted(
    play: Play, name: str, field: str, body: dict[str, Any]
) -> None:
    assert field in body
    assert await send(play, name, body)


@pytest.mark.parametrize(("name", "field", "body"), cases("refused"))
async def test_a_value_that_cannot_be_honoured_is_refused_by_its_name(
    play: Play, name: str, field: str, body: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await send(play, name, body)
    assert refused.value.type == "invalid_request_error"
    assert field in (refused.value.param or refused.value.message).split(".")[0]
    assert field in refused.value.message


@every_route
async def test_null_means_that_a_field_is_not_given(play: Play, name: str) -> None:
    optional = set(BODIES[name].model_fields) - REQUIRED
    assert await send(play, name, dict.fromkeys(optional))


@every_route
@pytest.mark.parametrize("field", ["temprature", "Model", "extra_body"])
async def test_a_field_that_does_not_exist_is_refused_by_its_name(play: Play, name: str, field: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await send(play, name, {field: 1})
    assert refused.value.param == field
    assert "unknown" in refused.value.message


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("chat", {"stream_options": {"include_usage": True}}, "stream_options is only for stream: true"),
        ("completions", {"stream_options": {}, "stream": False}, "stream_options is only for stream: true"),
        ("chat", {"top_logprobs": 3}, "top_logprobs is only for logprobs: true"),
        ("chat", {"top_logprobs": 3, "logprobs": False}, "top_logprobs is only for logprobs: true"),
        ("chat", {"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens and max_completion_tokens differ"),
        ("completions", {"best_of": 3, "n": 2}, "best_of is not supported"),
        ("completions", {"echo": True, "logprobs": 1}, "echo cannot go with logprobs"),
    ],
)
async def test_fields_that_contradict_each_other_are_refused(
    play: Play, name: str, body: dict[str, Any], words: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        await send(play, name, body)


@pytest.mark.parametrize(
    ("name", "body"),
    [("chat", {"max_tokens": 3, "max_completion_tokens": 3}), ("completions", {"n": 3, "best_of": 3})],
)
async def test_fields_that_agree_are_accepted(play: Play, name: str, body: dict[str, Any]) -> None:
    assert await send(play, name, body)
