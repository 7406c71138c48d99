"""The types of the KV cache reach both contexts, and are counted as llama.cpp stores them."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import psutil
import pytest

from mcp_llama.engine.embedding import EmbedJob
from mcp_llama.engine.llama import CacheType, FlashAttention, LlamaModel, ModelOptions, UnloadedModel
from mcp_llama.errors import ConfigError
from tests.engine.llama.decoding import extend, greedy, text, tokens
from tests.engine.llama.reference import log_softmax, pooled
from tests.engine.llama.tiny import write_tiny

TEXT = "The capital of France is Paris, and the capital of Germany is"
OPTIONS = ModelOptions(n_ctx=512, n_slots=1, n_threads=1)
NEAR = 1e-3
ROUNDING = 0.01 * 2**20
"""llama.cpp's log has two decimals of a MiB."""
# llama_cpp's numbers.
NUMBERS: dict[CacheType, int] = {
    "f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q5_1": 7, "q5_0": 6, "q4_1": 3, "q4_0": 2, "iq4_nl": 20,
}  # fmt: skip
QUANTISED: tuple[CacheType, ...] = ("q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")


@pytest.mark.parametrize("kind", get_args(CacheType))
def test_the_memory_of_a_cache_is_what_llama_cpp_allocates(kind: CacheType, real_model_path: Path) -> None:
    assert set(NUMBERS) == set(get_args(CacheType))
    for types in ({"type_k": kind}, {"type_v": kind}):
        model = UnloadedModel(real_model_path, replace(OPTIONS, n_ctx=1024, n_slots=3, **types))
        assert model.memory - model.size == pytest.approx(model.need.cache, abs=ROUNDING)
        model.close()


def test_fewer_bits_leave_room_for_a_longer_context(real_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = psutil.virtual_memory()._replace(available=200_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    sizes: list[tuple[int, int]] = []
    for kind in ("f32", "f16", "q4_0"):
        model = UnloadedModel(real_model_path, ModelOptions(type_k=kind, type_v=kind, n_threads=1))
        sizes.append((model.n_slots, model.n_ctx))
        model.close()
    assert sizes == [(1, 1024), (1, 2048), (1, 4096)]


@pytest.mark.parametrize(("type_k", "type_v"), [("q8_0", "q8_0"), ("q4_0", "f16"), ("bf16", "iq4_nl"), ("f32", "q5_1")])
def test_both_contexts_compute_with_the_types(type_k: CacheType, type_v: CacheType, real_model_path: Path) -> None:
    model = LlamaModel(real_model_path, replace(OPTIONS, type_k=type_k, type_v=type_v))
    prompt = tokens(model, TEXT)
    found = dict(model.logprobs(extend(model, {0: prompt})[0], 0, model.n_vocab)[1])
    job = EmbedJob([prompt], "last")
    job.add(model.embed(*job.next_tokens(128)))
    model.close()
    logprobs = [found[token] for token in range(len(found))]
    options: dict[str, Any] = {"type_k": NUMBERS[type_k], "type_v": NUMBERS[type_v]}
    assert np.allclose(logprobs, log_softmax(real_model_path, prompt, **options)[-1], atol=NEAR)
    assert np.allclose(job.vectors[0], pooled(real_model_path, TEXT, "last", **options), atol=NEAR)
    assert not np.allclose(logprobs, log_softmax(real_model_path, prompt)[-1], atol=NEAR)
    assert not np.allclose(job.vectors[0], pooled(real_model_path, TEXT, "last"), atol=NEAR)


def test_a_cache_of_eight_bits_answers_sensibly(real_model_path: Path) -> None:
    model = LlamaModel(real_model_path, replace(OPTIONS, type_k="q8_0", type_v="q8_0"))
    (completion,) = greedy(model, [tokens(model, "The capital of France is")], 8)
    assert "Paris" in text(model, completion)
    model.close()


@pytest.mark.parametrize("kind", QUANTISED)
def test_quantised_values_without_flash_attention_are_refused(kind: CacheType, real_model_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^type_v {kind} needs flash attention, and flash_attn is off"):
        UnloadedModel(real_model_path, replace(OPTIONS, type_v=kind, flash_attn="off"))
    UnloadedModel(real_model_path, replace(OPTIONS, type_k=kind, flash_attn="off")).close()
    UnloadedModel(real_model_path, replace(OPTIONS, type_v=kind, flash_attn="on")).close()


def test_heads_that_are_no_whole_blocks_cannot_be_quantised(real_model_path: Path, tmp_path: Path) -> None:
    odd = write_tiny(real_model_path, tmp_path / "odd.gguf")
    refused: list[tuple[FlashAttention, str]] = [("auto", "type_k"), ("auto", "type_v"), ("off", "type_k")]
    for attention, name in refused:
        with pytest.raises(ConfigError, match=rf"^{name} is q8_0, which holds 32 values .* have 48\."):
            LlamaModel(odd, replace(OPTIONS, flash_attn=attention, **{name: "q8_0"}))
        LlamaModel(odd, replace(OPTIONS, flash_attn=attention, type_k="bf16", type_v="f32")).close()


def test_the_size_of_a_head_is_the_one_that_the_file_names(real_model_path: Path, tmp_path: Path) -> None:
    named = write_tiny(real_model_path, tmp_path / "named.gguf", head=64)
    for types in ({}, {"type_k": "q8_0"}, {"type_v": "q4_0"}):
        model = UnloadedModel(named, replace(OPTIONS, n_ctx=4096, n_slots=3, **types))
        assert model.memory - model.size == pytest.approx(model.need.cache, abs=ROUNDING)
        model.close()
