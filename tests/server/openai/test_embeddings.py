"""Vectors through OpenAI's client, which asks for base64 unless it is told otherwise."""

import math
from typing import Any, cast

import openai
import pytest
from anyio import to_thread
from openai import AsyncOpenAI, OpenAI

from mcp_llama.engine.model import EMBED_ROWS
from tests.fake_model import BOS
from tests.server.openai.clients import Play, played
from tests.server.raw import plain_http
from tests.server.scene import MODEL_NAME, Scene

SCENE = Scene()
TEXTS = ["The sea is blue.", "Bread is baked in an oven.", "El mar es azul."]


async def embed(client: AsyncOpenAI | OpenAI, given: Any, **options: Any) -> Any:
    method = cast(Any, client.embeddings.create)

    def call() -> Any:
        return method(model=MODEL_NAME, input=given, **options)

    response = await to_thread.run_sync(call) if isinstance(client, OpenAI) else await call()
    assert [item.index for item in response.data] == list(range(len(response.data)))
    return response


async def vectors(client: AsyncOpenAI, given: Any, **options: Any) -> list[list[float]]:
    return [item.embedding for item in (await embed(client, given, **options)).data]


async def test_base64_holds_the_same_numbers_as_json(any_client: AsyncOpenAI | OpenAI) -> None:
    by_default = await embed(any_client, TEXTS)
    floats = await embed(any_client, TEXTS, encoding_format="float")
    packed = await embed(any_client, TEXTS, encoding_format="base64")
    assert isinstance(packed.data[0].embedding, str)
    assert [item.embedding for item in by_default.data] == [item.embedding for item in floats.data]
    assert by_default.usage == floats.usage
    assert by_default.model == MODEL_NAME


async def test_each_text_has_a_vector_of_length_one_in_its_place(client: AsyncOpenAI) -> None:
    together = await vectors(client, TEXTS)
    alone = [(await vectors(client, text))[0] for text in TEXTS]
    assert [math.hypot(*vector) for vector in together] == pytest.approx([1.0] * len(TEXTS), abs=1e-5)
    for place, vector in enumerate(together):
        distances = [math.dist(vector, other) for other in alone]
        assert distances[place] < 0.01
        assert all(distance > 0.1 for other, distance in enumerate(distances) if other != place)


async def test_tokens_have_the_vector_of_their_text(client: AsyncOpenAI, real_url: str) -> None:
    async with plain_http() as http:
        answers = [(await http.post(f"{real_url}/tokenize", json={"content": text})).json() for text in TEXTS]
    tokens = [answer["tokens"] for answer in answers]
    by_text = await embed(client, TEXTS)
    assert await vectors(client, tokens) == [item.embedding for item in by_text.data]
    assert await vectors(client, tokens[0]) == [by_text.data[0].embedding]
    assert by_text.usage.prompt_tokens == by_text.usage.total_tokens == sum(map(len, tokens))


async def test_every_text_is_computed_once_and_in_order() -> None:
    async with played(SCENE) as play:
        response = await embed(play.client, ["one", [116, 119, 111], "three"][::2])
        await embed(play.client, [[1, 2], [3]])
        computed = play.model.embeds
    assert computed == [[BOS, *b"one"], [BOS, *b"three"], [1, 2], [3]]
    assert response.usage.prompt_tokens == 4 + 6


async def test_a_text_longer_than_a_batch_has_a_vector_too() -> None:
    async with played(SCENE) as play:
        (vector,) = await vectors(play.client, "x" * (EMBED_ROWS + 5))
        assert [len(tokens) for tokens in play.model.embeds] == [EMBED_ROWS, 6]
    assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-5)


async def test_the_models_own_number_of_dimensions_may_be_asked_for(client: AsyncOpenAI) -> None:
    (vector,) = await vectors(client, "x")
    assert await vectors(client, "x", dimensions=len(vector)) == [vector]


BAD_INPUTS: list[tuple[Any, str]] = [
    ("", "input holds an empty text"),
    ([], "input has 0 texts, but a request may have from 1 to 2,048"),
    (["fine", ""], "input holds an empty text"),
    ([[]], "input holds an empty text"),
    (["x"] * 2049, "input has 2,049 texts"),
    ([[1, 2], [400]], "Token 400 does not exist"),
    ([-1], "input"),
    (["fine", 3], "input"),
    (None, "input"),
    ("x" * 2000, "The text has 2,001 tokens, but the context holds 1,024. Shorten it."),
]


@pytest.mark.parametrize(
    ("given", "message"),
    BAD_INPUTS,
)
async def test_what_has_no_vector_is_refused(play: Play, given: Any, message: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await embed(play.client, given)
    assert message in refused.value.message
    assert (await embed(play.client, "fine")).usage.prompt_tokens == 5


async def test_another_number_of_dimensions_is_refused(play: Play) -> None:
    with pytest.raises(openai.BadRequestError, match="dimensions is 2, but the vectors of fake have 3"):
        await embed(play.client, "x", dimensions=2)


async def test_a_text_that_is_too_long_has_its_own_code(play: Play) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await embed(play.client, ["fine", "x" * 2000])
    assert refused.value.code == "context_length_exceeded"
