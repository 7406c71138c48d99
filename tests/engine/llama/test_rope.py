"""Options of RoPE reach both contexts, and say how far a model's positions reach."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcp_llama.engine.embedding import EmbedJob
from mcp_llama.engine.llama import LlamaModel, ModelOptions, UnloadedModel
from mcp_llama.engine.llama.fit import fit, warn_of_n_ctx
from mcp_llama.engine.llama.rope import Rope
from mcp_llama.errors import ConfigError
from tests.engine.llama.decoding import extend, tokens
from tests.engine.llama.gguf import copy_with_metadata
from tests.engine.llama.reference import log_softmax, pooled

TEXT = "The capital of France is Paris, and the capital of Germany is"
SMALL = ModelOptions(n_ctx=256, n_slots=1, n_threads=1)
NEAR = 1e-3

PLAIN = Rope(scaling="linear", freq_scale=1.0, n_ctx_train=8192, n_ctx_native=8192, is_used=True)
YARN = Rope(scaling="yarn", freq_scale=0.25, n_ctx_train=131_072, n_ctx_native=32_768, is_used=True)
LINEAR = Rope(scaling="linear", freq_scale=0.5, n_ctx_train=16_384, n_ctx_native=8192, is_used=True)
LONGROPE = Rope(scaling="longrope", freq_scale=1.0, n_ctx_train=131_072, n_ctx_native=131_072, is_used=True)
NO_ROPE = Rope(scaling="linear", freq_scale=1.0, n_ctx_train=1024, n_ctx_native=1024, is_used=False)


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"rope_scaling": "yarn", "rope_freq_scale": 0.5}, {"rope_scaling_type": 2, "rope_freq_scale": 0.5}),
        (
            {"rope_scaling": "yarn", "rope_freq_scale": 0.25, "yarn_orig_ctx": 64},
            {"rope_scaling_type": 2, "rope_freq_scale": 0.25, "yarn_orig_ctx": 64},
        ),
        ({"rope_scaling": "linear", "rope_freq_scale": 0.5}, {"rope_scaling_type": 1, "rope_freq_scale": 0.5}),
        ({"rope_freq_base": 50_000.0}, {"rope_freq_base": 50_000.0}),
    ],
)
def test_both_contexts_rotate_as_the_options_say(
    options: dict[str, Any], same: dict[str, Any], real_model_path: Path
) -> None:
    model = LlamaModel(real_model_path, replace(SMALL, n_ctx=128, **options))
    prompt = tokens(model, TEXT)
    found = dict(model.logprobs(extend(model, {0: prompt})[0], 0, model.n_vocab)[1])
    job = EmbedJob([prompt], "last")
    job.add(model.embed(*job.next_tokens(128)))
    model.close()
    logprobs = [found[token] for token in range(len(found))]
    assert np.allclose(logprobs, log_softmax(real_model_path, prompt, **same)[-1], atol=NEAR)
    assert np.allclose(job.vectors[0], pooled(real_model_path, TEXT, "last", **same), atol=NEAR)
    assert not np.allclose(logprobs, log_softmax(real_model_path, prompt)[-1], atol=NEAR)
    assert not np.allclose(job.vectors[0], pooled(real_model_path, TEXT, "last"), atol=NEAR)


@pytest.mark.parametrize(
    ("rope", "options", "reach"),
    [
        (PLAIN, {}, 8192),
        (PLAIN, {"rope_scaling": "yarn", "rope_freq_scale": 0.5}, 16_384),
        (PLAIN, {"rope_scaling": "linear", "rope_freq_scale": 0.25}, 32_768),
        (PLAIN, {"rope_freq_scale": 0.25}, 32_768),
        (PLAIN, {"rope_scaling": "yarn", "rope_freq_scale": 0.5, "yarn_orig_ctx": 2048}, 4096),
        (PLAIN, {"rope_scaling": "none"}, 8192),
        (PLAIN, {"rope_freq_base": 1e6}, None),
        (PLAIN, {"rope_freq_base": 1e6, "rope_freq_scale": 0.5}, None),
        (YARN, {}, 131_072),
        (YARN, {"rope_scaling": "yarn"}, 131_072),
        (YARN, {"rope_scaling": "none"}, 32_768),
        (YARN, {"rope_freq_scale": 0.125}, 262_144),
        (YARN, {"yarn_orig_ctx": 16_384}, 65_536),
        (LINEAR, {"rope_scaling": "none"}, 8192),
        (LINEAR, {"rope_freq_scale": 0.25}, 32_768),
        (LINEAR, {"rope_scaling": "yarn"}, 16_384),
        (LONGROPE, {"rope_scaling": "longrope"}, 131_072),
    ],
)
def test_how_far_positions_reach(rope: Rope, options: dict[str, Any], reach: int | None) -> None:
    assert rope.n_ctx_max(ModelOptions(**options)) == reach


@pytest.mark.parametrize(
    ("rope", "options", "message"),
    [
        (PLAIN, {"rope_scaling": "none", "rope_freq_scale": 0.5}, "exclude each other"),
        (PLAIN, {"rope_scaling": "longrope"}, "has no factors for it"),
        (PLAIN, {"rope_scaling": "longrope", "rope_freq_scale": 0.5}, "has no factors for it"),
        (PLAIN, {"yarn_orig_ctx": 4096}, "yarn_orig_ctx works with yarn only"),
        (YARN, {"yarn_orig_ctx": 4096, "rope_scaling": "linear"}, "yarn_orig_ctx works with yarn only"),
        (PLAIN, {"rope_scaling": "yarn"}, "rope_scaling is yarn, but neither .* by how much"),
        (PLAIN, {"rope_scaling": "linear"}, "rope_scaling is linear, but neither .* by how much"),
        (NO_ROPE, {"rope_freq_base": 1e6}, "no rotary positions"),
    ],
)
def test_an_option_without_effect_is_refused(rope: Rope, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rope.n_ctx_max(ModelOptions(**options))


def refusal(rope: Rope, **options: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        fit(ModelOptions(n_slots=1, **options), rope, 1)
    return str(refused.value)


def test_a_context_beyond_the_reach_is_refused_with_what_would_reach() -> None:
    assert refusal(PLAIN, n_ctx=16_384) == (
        "n_ctx is 16,384, but the model was trained on 8,192 tokens. "
        "To stretch it, at some cost of quality, add rope_scaling yarn and rope_freq_scale 0.5."
    )
    assert refusal(PLAIN, n_ctx=32_768, rope_freq_scale=0.5) == (
        "n_ctx is 32,768, but with these options the model reaches 16,384 tokens. "
        "Lower n_ctx, or set rope_freq_scale to 0.25."
    )
    assert refusal(NO_ROPE, n_ctx=2000) == "n_ctx is 2,000, but the model was trained on 1,024 tokens."


@pytest.mark.parametrize("n_ctx", [8193, 8200, 9999, 12_345, 100_000, 1_000_003, 50_000_000])
def test_the_scale_in_the_refusal_reaches(n_ctx: int) -> None:
    scale = float(refusal(PLAIN, n_ctx=n_ctx).rpartition(" ")[2].removesuffix("."))
    options = ModelOptions(n_ctx=n_ctx, n_slots=1, rope_scaling="yarn", rope_freq_scale=scale)
    assert fit(options, PLAIN, 1) == (n_ctx, 1)


def test_without_n_ctx_a_stretched_model_has_the_usual_context() -> None:
    short = replace(PLAIN, n_ctx_train=2048, n_ctx_native=2048)
    options = ModelOptions(n_slots=1)
    assert fit(options, short, 1) == (2048, 1)
    assert fit(replace(options, rope_freq_scale=0.5), short, 1) == (4096, 1)
    assert fit(replace(options, rope_freq_scale=0.1), short, 1) == (8192, 1)
    assert fit(replace(options, rope_freq_base=1e6), short, 1) == (2048, 1)


def test_another_base_frequency_lets_any_context_pass_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    options = ModelOptions(n_ctx=50_000, n_slots=1, rope_freq_base=1e6)
    assert fit(options, PLAIN, 1) == (50_000, 1)
    warn_of_n_ctx("tiny", options, PLAIN)
    assert caplog.messages == [
        "tiny was trained on 8,192 tokens; whether rope_freq_base makes 50,000 of them is not checked"
    ]
    caplog.clear()
    warn_of_n_ctx("tiny", replace(options, n_ctx=8192), PLAIN)
    warn_of_n_ctx("tiny", replace(options, n_ctx=None), PLAIN)
    warn_of_n_ctx("tiny", ModelOptions(n_ctx=16_384, rope_freq_scale=0.5), PLAIN)
    assert caplog.messages == []


def test_the_model_takes_a_context_that_the_options_stretch(real_model_path: Path) -> None:
    options = replace(SMALL, n_ctx=16_384, rope_scaling="yarn", rope_freq_scale=0.5)
    model = UnloadedModel(real_model_path, options)
    assert (model.n_ctx, model.n_ctx_train) == (16_384, 8192)
    model.close()
    with pytest.raises(ConfigError, match="reaches 16,384 tokens"):
        UnloadedModel(real_model_path, replace(options, n_ctx=16_385))


Reach = tuple[dict[str, Any], int]
"""Options, and the context that they allow."""
STRETCHED: list[tuple[dict[str, float | str], list[Reach]]] = [
    (
        {"type": "yarn", "factor": 4.0, "original_context_length": 1024},
        [({}, 8192), ({"rope_scaling": "none"}, 1024), ({"rope_scaling": "yarn"}, 4096)],
    ),
    (
        {"type": "linear", "factor": 2.0},
        [({}, 8192), ({"rope_scaling": "none"}, 4096), ({"rope_freq_scale": 0.25}, 16_384)],
    ),
]


@pytest.mark.parametrize(("metadata", "reaches"), STRETCHED)
def test_what_the_file_says_counts(
    metadata: dict[str, float | str], reaches: list[Reach], real_model_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "stretched.gguf"
    copy_with_metadata(real_model_path, path, {f"llama.rope.scaling.{key}": value for key, value in metadata.items()})
    found: list[Reach] = []
    for options, _ in reaches:
        model = UnloadedModel(path, replace(SMALL, n_ctx=100_000, cut_n_ctx=True, **options))
        found.append((options, model.n_ctx))
        model.close()
    path.unlink()
    assert found == reaches


def test_a_model_without_rope_refuses_its_options(real_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: object) -> int:
        return -1

    monkeypatch.setattr("mcp_llama.engine.llama.rope.lib.llama_model_rope_type", none)
    with pytest.raises(ConfigError, match="no rotary positions"):
        UnloadedModel(real_model_path, replace(SMALL, rope_freq_base=50_000.0))
    UnloadedModel(real_model_path, SMALL).close()


def test_a_context_larger_than_the_pool_of_cells_is_refused() -> None:
    assert refusal(PLAIN, n_ctx=300, n_cells=299) == "n_ctx is 300, but n_cells only 299. Raise n_cells."
    assert fit(ModelOptions(n_ctx=300, n_cells=300, n_slots=2), PLAIN, 1) == (300, 2)
    assert fit(ModelOptions(n_cells=299, n_slots=2), PLAIN, 1) == (299, 2)


def test_a_model_that_need_not_have_it_all_gets_the_context_it_was_trained_on(
    real_model_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = ModelOptions(n_ctx=10_000, n_slots=1, n_threads=1, cut_n_ctx=True)
    with caplog.at_level(logging.WARNING):
        unloaded, model = UnloadedModel(real_model_path, options), LlamaModel(real_model_path, options)
    assert (unloaded.n_ctx, model.n_ctx) == (8192, 8192)
    unloaded.close()
    model.close()
    name = real_model_path.stem
    assert caplog.messages == [f"n_ctx is 10,000, but {name} was trained on 8,192 tokens and gets these"]
    assert fit(replace(options, n_ctx=4096), PLAIN, 1) == (4096, 1)
