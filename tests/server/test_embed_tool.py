"""What the tool `embed` takes and gives."""

import json
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcp_llama.engine.llama import LlamaModel, ModelOptions
from tests.backends.one_model import backend_of
from tests.server.client import Connection, Era, text_of
from tests.server.raw import last_message, plain_http, raw_http, request
from tests.server.scene import MODEL_NAME, Scene
from tests.server.serving import PLAIN_DOOR, Door, connected_http, every_door, every_era, opened, serving, staged

CAT, KITTEN, STOCKS = "The cat sat on the mat.", "A kitten lies on a rug.", "Shares fell\nsharply on Monday."
TEXTS = [STOCKS, KITTEN, CAT]
TOOL_TOKENS = 150


@pytest.fixture(scope="module")
async def real_url(real_model_path: Path) -> AsyncGenerator[str]:
    """A server with the embedded model."""
    options = ModelOptions(n_ctx=512, n_slots=1, n_threads=1)
    async with serving(backend_of(MODEL_NAME, partial(LlamaModel, real_model_path, options))) as url:
        yield url


@pytest.fixture(scope="module")
async def real(real_url: str) -> AsyncGenerator[Connection]:
    """A client of that server."""
    async with connected_http(real_url, PLAIN_DOOR) as client:
        yield client


@pytest.fixture(scope="module")
async def fake(real: Connection) -> AsyncGenerator[Connection]:
    """A client of a server with a FakeModel, for tests that leave no trace in it."""
    # Servers in one process hear the same signal: the one that is to end first must be the last to start.
    del real
    async with opened(PLAIN_DOOR, Scene()) as server:
        yield server.client


async def embedded(client: Connection, **arguments: Any) -> dict[str, Any]:
    """The structured result of a call that succeeds."""
    call = await client.call("embed", arguments)
    assert not call.result.is_error, text_of(call.result)
    assert call.result.structured_content is not None
    return call.result.structured_content


async def refusal(client: Connection, **arguments: Any) -> str:
    call = await client.call("embed", arguments)
    assert call.result.is_error
    assert call.result.structured_content is None
    return text_of(call.result)


@every_era
async def test_the_tool_costs_an_agent_little(era: Era, real_model_path: Path) -> None:
    async with staged(Scene()) as (_, url), raw_http(url, era) as client:
        message = await last_message(await client.post(request(era, 1, "tools/list", {})))
    (tool,) = [each for each in message["result"]["tools"] if each["name"] == "embed"]
    model = LlamaModel(real_model_path, ModelOptions(n_ctx=512, n_slots=1, n_threads=1))
    try:
        wire = json.dumps(tool, ensure_ascii=False)
        assert len(model.tokenize(wire, add_special=False, parse_special=False)) < TOOL_TOKENS
    finally:
        model.close()
    assert set(tool["inputSchema"]["properties"]) == {"texts", "query", "pairwise", "model"}
    assert tool["inputSchema"]["required"] == ["texts"]
    assert tool["outputSchema"]["required"] == ["model", "usage"]


async def test_the_text_that_means_the_same_as_the_query_scores_highest(real: Connection) -> None:
    result = await embedded(real, texts=TEXTS, query=CAT)
    assert result["scores"][2] == 1.0
    assert result["scores"][0] < result["scores"][1] < 1.0


async def test_scores_of_all_pairs_are_symmetric(real: Connection) -> None:
    scores = np.array((await embedded(real, texts=[*TEXTS, CAT], pairwise=True))["scores"])
    assert (scores == scores.T).all()
    assert (np.diagonal(scores) == 1.0).all()
    assert scores[2][3] == 1.0
    assert scores[0][1] < 1.0


async def test_vectors_are_those_of_the_openai_route(real: Connection, real_url: str) -> None:
    result = await embedded(real, texts=TEXTS)
    async with plain_http() as http:
        answer = (await http.post(f"{real_url}/v1/embeddings", json={"model": MODEL_NAME, "input": TEXTS})).json()
    exact = np.array([item["embedding"] for item in answer["data"]])
    assert np.abs(np.array(result["vectors"]) - exact).max() <= 0.5001e-5
    assert np.linalg.norm(result["vectors"], axis=1) == pytest.approx(1.0, abs=1e-4)
    assert result["usage"]["prompt_tokens"] == answer["usage"]["prompt_tokens"]


async def test_scores_are_the_products_of_the_vectors(real: Connection) -> None:
    query, *others = np.array((await embedded(real, texts=[CAT, *TEXTS]))["vectors"])
    scored = await embedded(real, texts=TEXTS, query=CAT)
    crossed = await embedded(real, texts=TEXTS, pairwise=True)
    assert scored["scores"] == pytest.approx([query @ other for other in others], abs=1e-4)
    assert np.array(crossed["scores"]) == pytest.approx(np.array(others) @ np.array(others).T, abs=1e-4)


async def test_numbers_are_no_longer_than_they_are_exact(real: Connection) -> None:
    scores = (await embedded(real, texts=TEXTS, query="animals"))["scores"]
    vectors = (await embedded(real, texts=TEXTS))["vectors"]
    assert scores == [round(score, 4) for score in scores]
    assert max(len(repr(abs(number))) for vector in vectors for number in vector) == len("0.12345")


@every_door
async def test_every_door_gives_the_same_result(door: Door) -> None:
    async with opened(door, Scene()) as server:
        await server.client.client.list_tools()
        scored = await server.client.call("embed", {"texts": ["a", "bc"], "query": "a", "model": MODEL_NAME})
        vectors = await server.client.call("embed", {"texts": ["a", "bc"]})
    assert scored.result.structured_content is not None
    assert scored.result.structured_content["scores"][0] == 1.0
    usage = {"prompt_tokens": 2 + 2 + 3}
    assert scored.result.structured_content.keys() == {"scores", "model", "usage"}
    assert scored.result.structured_content["usage"] == usage
    assert vectors.result.structured_content is not None
    assert vectors.result.structured_content.keys() == {"vectors", "model", "usage"}
    assert vectors.result.structured_content["model"] == MODEL_NAME


async def test_the_text_of_scores_ranks_the_texts_by_index_and_beginning(real: Connection) -> None:
    long = CAT + " " + "x" * 100
    call = await real.call("embed", {"texts": [STOCKS, long, CAT], "query": CAT})
    first, second, third = call.text.splitlines()
    assert first == f"1.0000 [2] {CAT}"
    assert second.endswith(f"[1] {long[:60]}…")
    assert third.endswith("[0] Shares fell sharply on Monday.")
    assert call.result.structured_content is not None
    assert float(second.split()[0]) == call.result.structured_content["scores"][1]


async def test_vectors_and_pairs_are_in_the_text_too_as_json_a_row_a_line(fake: Connection) -> None:
    for name, options in {"vectors": {}, "scores": {"pairwise": True}}.items():
        call = await fake.call("embed", {"texts": TEXTS, **options})
        assert call.result.structured_content is not None
        assert json.loads(call.text) == call.result.structured_content[name]
        assert len(call.text.splitlines()) == len(TEXTS)


async def test_texts_that_look_like_json_are_texts(fake: Connection) -> None:
    for text in ('["a"]', '{"a": 1}', "null", "5", "true"):
        result = await embedded(fake, texts=[text], query=text)
        assert result["scores"] == [1.0]
        assert result["usage"]["prompt_tokens"] == 2 * (1 + len(text))


BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"texts": ["x"], "query": "x", "pairwise": True}, "Give either query or pairwise, and not both."),
    ({"texts": ["x", ""]}, "texts.1 is '': string should have at least 1 character."),
    ({"texts": []}, "texts is []: list should have at least 1 item after validation, not 0."),
    ({}, "texts is missing."),
    ({"texts": ["x", "y" * 1024]}, "texts.1 has 1,025 tokens, but the context holds 1,024. Shorten it."),
    ({"texts": ["x"], "query": "y" * 2000}, "query has 2,001 tokens, but the context holds 1,024. Shorten it."),
    ({"texts": ["y" * 2000], "query": "x"}, "texts.0 has 2,001 tokens, but the context holds 1,024. Shorten it."),
    ({"texts": ["x"], "text": "y"}, "Unknown argument of embed 'text'. Did you mean 'texts'?"),
    ({"texts": ["x"], "model": "other"}, "Unknown model 'other'. Available: fake. Omit model for the default."),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS)
async def test_what_cannot_be_computed_is_refused_with_its_place(
    fake: Connection, arguments: dict[str, Any], message: str
) -> None:
    assert await refusal(fake, **arguments) == message
    assert (await embedded(fake, texts=["y" * 1023]))["usage"]["prompt_tokens"] == 1024


async def test_the_number_of_texts_is_bounded(fake: Connection) -> None:
    assert len((await embedded(fake, texts=["x"] * 256, query="x"))["scores"]) == 256
    assert (await refusal(fake, texts=["x"] * 257)).endswith("at most 256 items after validation, not 257.")
