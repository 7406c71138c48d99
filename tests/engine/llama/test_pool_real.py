"""Sequences that share too few cells say what they say alone."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mcp_llama.engine.engine import Engine
from mcp_llama.engine.llama import LlamaModel, ModelOptions
from mcp_llama.engine.metrics import EngineMetrics
from tests.engine.exported import exported
from tests.engine.llama.decoding import extend, tokens
from tests.engine.sequences import finish, request

POOL = 256
PROMPTS = ("Once upon a time there was a princess who", "The capital of France is", "1 2 3 4 5 6 7")
MOST = 110
ROUNDING = 1.0
"""The order of the cells in a pool changes how llama.cpp rounds, so that another token may be the likeliest."""


@pytest.fixture
def metrics() -> EngineMetrics:
    return EngineMetrics()


@pytest.fixture
def pool(real_model_path: Path, metrics: EngineMetrics) -> Iterator[Engine]:
    options = ModelOptions(n_ctx=POOL, n_slots=3, n_cells=POOL, n_threads=1, flash_attn="off")
    engine = Engine(LlamaModel(real_model_path, options), None, metrics)
    yield engine
    engine.close()


def is_likeliest(model: LlamaModel, content: list[int], start: int) -> bool:
    """Whether each token from `start` on is the likeliest after those before it, but for rounding."""
    model.truncate(0, 0)
    for end in range(start, len(content)):
        row = extend(model, {0: content[:end]})[0]
        chosen, ((_, best),) = model.logprobs(row, content[end], 1)
        if chosen < best - ROUNDING:
            return False
    return True


async def test_what_preempted_sequences_say_is_what_the_model_finds_likeliest(
    pool: Engine, model: LlamaModel, metrics: EngineMetrics
) -> None:
    prompts = [tokens(model, prompt) for prompt in PROMPTS]
    async with AsyncExitStack() as entered:
        running = [await entered.enter_async_context(pool.generate(request(prompt, MOST))) for prompt in prompts]
        for generation in running:
            assert (await finish(generation)).usage.completion_tokens == MOST
    assert exported(metrics.registry)["mcp_llama_preemptions_total"] >= 1
    for generation, prompt in zip(running, prompts, strict=True):
        assert is_likeliest(model, generation.sequence.tokens, len(prompt))
    assert not is_likeliest(model, prompts[0] + running[1].sequence.tokens[len(prompts[1]) :], len(prompts[0]))
