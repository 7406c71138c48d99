"""Log probabilities, in the shapes of both endpoints."""

import math
from itertools import accumulate, pairwise
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.server.openai.clients import ask, played
from tests.server.scene import SPEECH, Scene, split_bytes

GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 10}
streamed_or_not = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


async def chat_content(client: AsyncOpenAI, **options: Any) -> tuple[str, list[Any]]:
    answer = await ask(client, "chat", logprobs=True, **options)
    return answer.text, answer.logprobs[0]["content"]


@streamed_or_not
async def test_a_chat_has_an_entry_for_each_token(client: AsyncOpenAI, stream: bool) -> None:
    text, content = await chat_content(client, **GREEDY, top_logprobs=4, stream=stream)
    assert len(content) == 10
    assert b"".join(bytes(entry["bytes"]) for entry in content).decode() == text
    assert "".join(entry["token"] for entry in content) == text
    for entry in content:
        top = entry["top_logprobs"]
        assert len(top) == 4
        # At temperature 0 the likeliest token is the one that is sampled.
        assert top[0] == {key: entry[key] for key in ("token", "bytes", "logprob")}
        assert all(earlier["logprob"] >= later["logprob"] for earlier, later in pairwise(top))
        assert sum(math.exp(other["logprob"]) for other in top) <= 1.000001


@streamed_or_not
async def test_a_completion_has_four_lists_of_the_same_length(client: AsyncOpenAI, stream: bool) -> None:
    answer = await ask(client, "completions", **GREEDY, logprobs=3, stream=stream)
    lists = answer.logprobs[0]
    assert set(lists) == {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
    assert [len(values) for values in lists.values()] == [10] * 4
    assert "".join(lists["tokens"]) == answer.text
    assert lists["text_offset"] == [0, *accumulate(map(len, lists["tokens"]))][:-1]
    for token, logprob, top in zip(lists["tokens"], lists["token_logprobs"], lists["top_logprobs"], strict=True):
        assert len(top) == 3
        assert top[token] == logprob == max(top.values())


async def test_both_endpoints_tell_the_same_of_the_same_tokens(client: AsyncOpenAI) -> None:
    _, content = await chat_content(client, **GREEDY, top_logprobs=2)
    prompt = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    prompt += "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n"
    lists = (await ask(client, "completions", prompt, **GREEDY, logprobs=2)).logprobs[0]
    assert lists["tokens"] == [entry["token"] for entry in content]
    assert lists["token_logprobs"] == pytest.approx([entry["logprob"] for entry in content], abs=1e-3)


async def test_the_log_probabilities_are_those_before_the_temperature(client: AsyncOpenAI) -> None:
    _, cold = await chat_content(client, temperature=0, max_tokens=1, top_logprobs=5)
    _, hot = await chat_content(client, temperature=5, max_tokens=1, top_logprobs=5)
    assert hot[0]["top_logprobs"] == cold[0]["top_logprobs"]


async def test_without_a_number_of_others_there_are_none(client: AsyncOpenAI) -> None:
    _, content = await chat_content(client, **GREEDY)
    completion = await ask(client, "completions", **GREEDY, logprobs=0)
    assert [entry["top_logprobs"] for entry in content] == [[]] * 10
    assert completion.logprobs[0]["top_logprobs"] == [{}] * 10
    assert (await ask(client, "chat", **GREEDY)).logprobs == [None]
    assert (await ask(client, "chat", **GREEDY, logprobs=False)).logprobs == [None]
    assert (await ask(client, "completions", **GREEDY)).logprobs == [None]


@streamed_or_not
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_tokens_that_are_parts_of_characters_join_by_their_bytes(stream: bool, size: int) -> None:
    pieces = split_bytes(SPEECH, size)
    async with played(Scene(scripts={None: pieces})) as play:
        text, content = await chat_content(play.client, stream=stream, top_logprobs=20)
        completion = await ask(play.client, "completions", logprobs=1, stream=stream, max_tokens=len(pieces))
    assert text == completion.text == SPEECH
    assert [bytes(entry["bytes"]) for entry in content] == list(pieces)
    offsets = completion.logprobs[0]["text_offset"]
    assert offsets == sorted(offsets)
    for offset, before in zip(offsets, accumulate(pieces, initial=b""), strict=False):
        assert offset == len(before.decode(errors="ignore"))


@streamed_or_not
async def test_what_a_stop_string_takes_away_has_no_entry(stream: bool) -> None:
    async with played(Scene(scripts={None: ["one", " two", " EN", "D", " three"]})) as play:
        text, content = await chat_content(play.client, stop="END", stream=stream)
    assert text == "one two "
    assert [entry["token"] for entry in content] == ["one", " two", " EN"]
