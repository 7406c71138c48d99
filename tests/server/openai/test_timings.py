"""Timings and the progress of a prompt, which llama.cpp's server tells beside OpenAI's fields."""

from itertools import pairwise
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.server.openai.clients import Answer, Kind, ask, both_kinds, played
from tests.server.scene import Scene

USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
streamed_or_not = pytest.mark.parametrize("streaming", [{}, USAGE], ids=["whole", "streamed"])


def having(answer: Answer, name: str) -> list[Any]:
    """The chunks that have a field of llama.cpp's, or the one whole response."""
    return [response for response in answer.responses if name in (response.model_extra or {})]


def timings_of(answer: Answer) -> list[Any]:
    """All timings of a response."""
    return [response.timings for response in having(answer, "timings")]


def check(timings: Any) -> None:
    """The numbers fit each other."""
    for name, tokens in (("prompt", timings["prompt_n"]), ("predicted", timings["predicted_n"] - 1)):
        milliseconds = timings[f"{name}_ms"]
        each, per_second = timings[f"{name}_per_token_ms"], timings[f"{name}_per_second"]
        if tokens > 0:
            assert milliseconds > 0
            assert each == pytest.approx(milliseconds / tokens, rel=0.01, abs=0.001)
            assert per_second == pytest.approx(1000 * tokens / milliseconds, rel=0.01)
        else:
            assert (each, per_second) == (None, None)


@both_kinds
@streamed_or_not
async def test_timings_fit_the_usage_and_each_other(client: AsyncOpenAI, kind: Kind, streaming: dict[str, Any]) -> None:
    answer = await ask(client, kind, "Name four fruits.", temperature=0, max_tokens=8, **streaming)
    (timings,) = timings_of(answer)
    check(timings)
    cached = answer.usage.prompt_tokens_details.cached_tokens
    assert (timings["cache_n"], timings["prompt_n"] + cached) == (cached, answer.usage.prompt_tokens)
    assert timings["predicted_n"] == answer.usage.completion_tokens


@streamed_or_not
async def test_timings_tell_what_was_in_the_cache(streaming: dict[str, Any]) -> None:
    async with played(Scene(scripts={None: "fine"})) as play:
        await ask(play.client, "completions", "A prompt.")
        answer = await ask(play.client, "completions", "A prompt.", **streaming)
    (timings,) = timings_of(answer)
    assert (timings["cache_n"], timings["prompt_n"], timings["predicted_n"]) == (9, 1, 4)
    assert answer.usage.prompt_tokens_details.cached_tokens == 9


@streamed_or_not
async def test_an_answer_without_tokens_has_timings_too(streaming: dict[str, Any]) -> None:
    async with played(Scene(scripts={None: ""})) as play:
        answer = await ask(play.client, "chat", **streaming)
    (timings,) = timings_of(answer)
    check(timings)
    assert (timings["predicted_n"], answer.text, answer.reasons) == (0, "", ["stop"])


@both_kinds
async def test_timings_of_every_token_grow(client: AsyncOpenAI, kind: Kind) -> None:
    options: dict[str, Any] = {"max_tokens": 6, "stream": True, "extra_body": {"timings_per_token": True}}
    answer = await ask(client, kind, temperature=0, **options)
    timings = timings_of(answer)
    # The opening of a chat comes before there is any time to tell.
    assert len(timings) == len(answer.responses) - (kind == "chat")
    counts = [each["predicted_n"] for each in timings]
    assert counts[0] == 1
    assert counts == sorted(counts)
    assert counts[-1] == 6
    # The last ones end with the computation, the others when they are sent.
    assert all(earlier["predicted_ms"] <= later["predicted_ms"] for earlier, later in pairwise(timings[:-1]))
    for each in timings:
        check(each)


@both_kinds
async def test_progress_of_a_prompt_comes_before_its_answer(kind: Kind) -> None:
    async with played(Scene(scripts={None: "fine"}, n_batch=64)) as play:
        answer = await ask(play.client, kind, "x" * 200, **USAGE, extra_body={"return_progress": True})
    told = [chunk.prompt_progress for chunk in having(answer, "prompt_progress")]
    total = answer.usage.prompt_tokens
    assert {progress["total"] for progress in told} == {total}
    assert [progress["processed"] for progress in told][-1] == total
    assert all(earlier["processed"] < later["processed"] for earlier, later in pairwise(told))
    assert answer.text == "fine"


async def test_each_choice_tells_the_progress_of_its_own_prompt() -> None:
    async with played(Scene(scripts={None: "fine"}, n_slots=2)) as play:
        extra = {"return_progress": True}
        answer = await ask(play.client, "completions", ["x" * 100, "y" * 200], stream=True, extra_body=extra)
    told = having(answer, "prompt_progress")
    assert {(chunk.choices[0].index, chunk.prompt_progress["total"]) for chunk in told} == {(0, 101), (1, 201)}


async def test_cache_prompt_may_be_said_because_it_is_so() -> None:
    async with played(Scene(scripts={None: "fine"})) as play:
        answers = [await ask(play.client, "completions", extra_body={"cache_prompt": True}) for _ in range(2)]
    assert [answer.usage.prompt_tokens_details.cached_tokens for answer in answers] == [0, 19]


async def test_an_answer_that_ran_out_of_time_has_the_text_so_far() -> None:
    async with played(Scene(decode_delay=0.01)) as play:
        answers = [
            await ask(play.client, "chat", max_tokens=900, stream=stream, extra_body={"max_time_s": 0.5})
            for stream in (False, True)
        ]
    for answer in answers:
        assert answer.reasons == ["time"]
        assert 0 < len(answer.text) < 900
