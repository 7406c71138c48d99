"""The option flash_attn reaches both contexts: what it leaves out of one would round differently there."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mcp_llama.engine.embedding import EmbedJob
from mcp_llama.engine.llama import FlashAttention, LlamaModel, ModelOptions
from tests.engine.llama.decoding import extend, tokens
from tests.engine.llama.reference import log_softmax, pooled

TEXT = "The capital of France is Paris, and the capital of Germany is"
NEAR = 1e-3


@pytest.fixture(scope="module", params=["on", "off"])
def attention(request: pytest.FixtureRequest) -> FlashAttention:
    return request.param


@pytest.fixture(scope="module")
def attentive(attention: FlashAttention, real_model_path: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(real_model_path, ModelOptions(n_ctx=512, n_slots=1, n_threads=1, flash_attn=attention))
    yield model
    model.close()


def test_generation_attends_as_the_option_says(
    attentive: LlamaModel, attention: FlashAttention, real_model_path: Path
) -> None:
    prompt = tokens(attentive, TEXT)
    row = extend(attentive, {0: prompt})[0]
    found = dict(attentive.logprobs(row, 0, attentive.n_vocab)[1])
    near = [
        np.allclose([found[token] for token in range(attentive.n_vocab)], expected[-1], atol=NEAR)
        for expected in (log_softmax(real_model_path, prompt, flash_attention=flash) for flash in (True, False))
    ]
    assert near == [attention == "on", attention == "off"]


def test_embedding_attends_as_the_option_says(
    attentive: LlamaModel, attention: FlashAttention, real_model_path: Path
) -> None:
    job = EmbedJob([tokens(attentive, TEXT)], "last")
    job.add(attentive.embed(*job.next_tokens(128)))
    near = [
        np.allclose(job.vectors[0], pooled(real_model_path, TEXT, "last", flash_attention=flash), atol=NEAR)
        for flash in (True, False)
    ]
    assert near == [attention == "on", attention == "off"]
