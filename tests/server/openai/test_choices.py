"""Several choices of one prompt, on a model of which every row is known."""

from dataclasses import replace
from typing import Any

import openai
import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.model import DecodeError
from mcp_llama.engine.sampling import MAX_SEED, SamplingParams
from tests.server.client import task_group
from tests.server.openai.clients import Kind, ask, asked, both_kinds, create, played
from tests.server.scene import Scene

PROMPT = "A prompt that is long enough to be worth a copy. " * 3
SCENE = Scene(scripts={None: "one two"}, n_slots=3)
USAGE: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
streamed_or_not = pytest.mark.parametrize("streaming", [{}, USAGE], ids=["whole", "streamed"])


@both_kinds
@streamed_or_not
@pytest.mark.parametrize("n", [1, 2, 3, 5])
async def test_a_prompt_is_computed_and_counted_once(kind: Kind, streaming: dict[str, Any], n: int) -> None:
    async with played(SCENE) as play:
        answer = await ask(play.client, kind, PROMPT, n=n, **streaming)
        rows = [rows for batch in play.model.batches for rows in zip(batch.positions, batch.slots, strict=True)]
    prompt = answer.usage.prompt_tokens
    assert answer.texts == ["one two"] * n
    assert answer.reasons == ["stop"] * n
    assert answer.counts == (prompt, 7 * n, prompt + 7 * n)
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    # Each choice computes the last token of the prompt for itself: its logits choose the first token.
    assert len([position for position, _ in rows if position < prompt]) == prompt + n - 1


@both_kinds
@pytest.mark.parametrize("seed", [0, 41, MAX_SEED - 1])
async def test_a_given_seed_counts_up(kind: Kind, seed: int) -> None:
    async with played(SCENE) as play:
        seen: list[SamplingParams] = []
        sampler = play.model.sampler
        play.model.sampler = lambda params, prompt, constraint=None: (
            seen.append(params) or sampler(params, prompt, constraint)
        )
        await ask(play.client, kind, seed=seed, n=3)
    assert [params.seed for params in seen] == [(seed + number) % (MAX_SEED + 1) for number in range(3)]
    assert len({replace(params, seed=0) for params in seen}) == 1


@streamed_or_not
async def test_choices_that_do_not_all_fit_the_queue_are_refused_together(streaming: dict[str, Any]) -> None:
    async with played(replace(SCENE, n_slots=1, engine=EngineLimits(max_queue=3))) as play:
        await play.stage.shut()
        async with task_group() as tasks:
            tasks.start_soon(ask, play.client, "completions")
            await play.stage.held()
            tasks.start_soon(ask, play.client, "completions")
            await play.stage.made(2)
            with pytest.raises(openai.RateLimitError):
                await ask(play.client, "chat", n=3, **streaming)
            await play.stage.open()
        ends = await play.stage.ended(4)
        assert [end.reason for end in ends].count("abort") == 2
        assert (await ask(play.client, "chat", n=3, **streaming)).texts == ["one two"] * 3


async def test_one_choice_that_fails_ends_the_others() -> None:
    async with played(replace(SCENE, scripts={})) as play:
        play.model.fault = lambda rows: DecodeError("no room") if 2 in rows.slots else None
        with pytest.raises(openai.InternalServerError, match="could not compute this request: no room"):
            await ask(play.client, "completions", PROMPT, n=3, max_tokens=800)
        assert [end.completion_tokens < 800 for end in await play.stage.ended(3)] == [True] * 3
        play.model.fault = None
        assert (await ask(play.client, "completions", PROMPT, max_tokens=3)).reasons == ["length"]


@both_kinds
async def test_leaving_a_stream_of_choices_ends_all_of_them(kind: Kind) -> None:
    async with played(replace(SCENE, scripts={}, decode_delay=0.005)) as play:
        stream = await create(play.client, kind)(**asked(kind), n=3, max_tokens=900, stream=True)
        async for _ in stream:
            break
        await stream.close()
        assert {end.reason for end in await play.stage.ended(3)} == {"abort"}
