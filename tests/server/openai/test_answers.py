"""Answers of the real model through both of OpenAI's Python clients, streamed and whole."""

from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.server.openai.clients import Kind, ask, both_kinds
from tests.server.scene import MODEL_NAME

AnyClient = AsyncOpenAI | OpenAI
SEED = 7
SAMPLED: dict[str, Any] = {"temperature": 1.0, "max_tokens": 10}
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 10}


@both_kinds
async def test_a_streamed_answer_is_the_whole_one(any_client: AnyClient, kind: Kind) -> None:
    options: dict[str, Any] = {**SAMPLED, "seed": SEED, "logprobs": True if kind == "chat" else 0}
    whole = await ask(any_client, kind, **options)
    streamed = await ask(any_client, kind, **options, stream=True, stream_options={"include_usage": True})
    assert streamed.text == whole.text != ""
    assert streamed.reasons == whole.reasons
    assert streamed.counts == whole.counts
    assert streamed.logprobs == whole.logprobs != [None]


@both_kinds
async def test_the_same_seed_gives_the_same_answer_and_another_seed_another(any_client: AnyClient, kind: Kind) -> None:
    first, again, other = [await ask(any_client, kind, **SAMPLED, seed=seed) for seed in (SEED, SEED, SEED + 1)]
    assert again.text == first.text != other.text


@both_kinds
async def test_at_temperature_zero_the_seed_makes_no_difference(client: AsyncOpenAI, kind: Kind) -> None:
    first, other = [await ask(client, kind, **GREEDY, seed=seed) for seed in (1, 2)]
    assert other.text == first.text != ""


@both_kinds
@pytest.mark.usefixtures("same_in_any_batch")
async def test_choices_differ_and_each_is_what_its_own_seed_gives(client: AsyncOpenAI, kind: Kind) -> None:
    together = await ask(client, kind, **SAMPLED, seed=SEED, n=3)
    streamed = await ask(client, kind, **SAMPLED, seed=SEED, n=3, stream=True)
    alone = [await ask(client, kind, **SAMPLED, seed=SEED + number) for number in range(3)]
    assert together.texts == streamed.texts == [answer.text for answer in alone]
    assert together.reasons == streamed.reasons == [reason for answer in alone for reason in answer.reasons]
    assert len(set(together.texts)) == 3


async def test_choices_without_a_seed_differ_too(client: AsyncOpenAI) -> None:
    answer = await ask(client, "completions", n=2, temperature=3.0, top_p=1, max_tokens=12)
    assert answer.texts[0] != answer.texts[1]


async def test_a_stop_string_ends_the_answer_before_it(any_client: AnyClient) -> None:
    free = await ask(any_client, "chat", **GREEDY)
    stop = free.text[9:13]
    stopped = await ask(any_client, "chat", **GREEDY, stop=["never in it", stop])
    streamed = await ask(any_client, "chat", **GREEDY, stop=stop, stream=True)
    assert stopped.text == streamed.text == free.text[: free.text.index(stop)]
    assert stopped.reasons == streamed.reasons == ["stop"]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_ends_the_answer_with_the_reason_length(any_client: AnyClient, name: str) -> None:
    answer = await ask(any_client, "chat", temperature=0, **{name: 3})
    assert answer.reasons == ["length"]
    assert answer.usage.completion_tokens == 3


async def test_an_answer_that_the_model_ends_has_the_reason_stop(any_client: AnyClient) -> None:
    answer = await ask(any_client, "chat", temperature=0, max_tokens=300)
    assert answer.reasons == ["stop"]
    assert 0 < answer.usage.completion_tokens < 300


async def test_the_helper_for_streams_puts_the_answer_together(client: AsyncOpenAI) -> None:
    whole = await ask(client, "chat", temperature=0)
    async with client.chat.completions.stream(
        model=MODEL_NAME, messages=[{"role": "user", "content": "Name three colours."}], temperature=0
    ) as stream:
        deltas = [event.delta async for event in stream if event.type == "content.delta"]
        final = await stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content == whole.text
    assert final.choices[0].message.role == "assistant"
    assert final.choices[0].finish_reason == "stop"


async def test_a_raw_response_holds_the_same_answer(client: AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model=MODEL_NAME, messages=[{"role": "user", "content": "Name three colours."}], temperature=0, max_tokens=10
    )
    whole = await ask(client, "chat", **GREEDY)
    assert raw.headers["content-type"] == "application/json"
    assert raw.status_code == 200
    assert raw.parse().choices[0].message.content == whole.text
