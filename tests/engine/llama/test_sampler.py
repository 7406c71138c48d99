from collections.abc import Mapping
from contextlib import suppress

import pytest

from mcp_llama.engine.llama import LlamaModel
from mcp_llama.engine.sampling import SamplingParams
from mcp_llama.errors import RequestError
from tests.engine.llama.decoding import complete, greedy, tokens
from tests.engine.test_sampling_params import BOUNDS

PROMPT = "The capital of France is the capital of France is the"
COUNT = 3


def sampled(model: LlamaModel, options: Mapping[str, object], prompt: str = PROMPT) -> list[int]:
    """The tokens after a prompt, from an empty slot."""
    model.truncate(0, 0)
    sampling = SamplingParams(seed=1).override(options)
    return complete(model, [tokens(model, prompt)], COUNT, sampling)[0]


@pytest.mark.parametrize("name", BOUNDS)
def test_an_option_on_its_bounds_still_samples_tokens(model: LlamaModel, name: str) -> None:
    needed: dict[str, object] = {"dry_multiplier": 1.0} if name.startswith("dry") else {}
    needed |= {"xtc_probability": 1.0} if name.startswith("xtc") else {}
    needed |= {"dynatemp_range": 1.0} if name.startswith("dynatemp") else {}
    needed |= {"repeat_penalty": 2.0} if name == "repeat_last_n" else {}
    for mirostat in [1, 2] if name.startswith("mirostat_") else [0]:
        for bound in BOUNDS[name]:
            completion = sampled(model, {"mirostat": mirostat, **needed, name: bound})
            assert all(0 <= token < model.n_vocab for token in completion)


def test_a_seed_reproduces_its_tokens_and_another_seed_does_not(model: LlamaModel) -> None:
    first, again, other = (sampled(model, {"temperature": 1.5, "top_k": 0, "seed": seed}) for seed in (5, 5, 6))
    assert first == again != other


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0},
        {"temperature": 0, "mirostat": 2, "seed": 9},
        {"top_k": 1, "temperature": 5.0},
        {"top_p": 0.0, "temperature": 5.0},
        {"min_p": 1.0, "temperature": 5.0},
        {"top_n_sigma": 1e-6, "temperature": 5.0},
        {"temperature": 1e-4},
        {"temperature": 1e-40},
        {"mirostat": 1, "mirostat_tau": 0.0},
        {"mirostat": 2, "mirostat_tau": 0.0},
    ],
    ids=str,
)
def test_every_way_to_ask_for_the_most_likely_tokens_gives_them(model: LlamaModel, options: dict[str, object]) -> None:
    assert sampled(model, options) == greedy(model, [tokens(model, PROMPT)], COUNT)[0]


@pytest.fixture(scope="module")
def plainly_sampled(loaded_model: LlamaModel) -> list[int]:
    return sampled(loaded_model, {})


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 100.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0},
        {"dynatemp_range": 100.0},
        {"top_k": 1},
        {"top_p": 0.01},
        {"min_p": 0.0},
        {"typical_p": 0.01},
        {"top_n_sigma": 0.01},
        {"xtc_probability": 1.0},
        {"dry_multiplier": 100.0},
        {"mirostat": 1},
        {"mirostat": 2},
        {"repeat_penalty": 100.0},
        {"presence_penalty": 100.0},
        {"frequency_penalty": 100.0},
        {"logit_bias": {"30": 100}},
    ],
    ids=str,
)
def test_every_option_changes_what_is_sampled(
    model: LlamaModel, options: dict[str, object], plainly_sampled: list[int]
) -> None:
    assert sampled(model, options) != plainly_sampled


@pytest.mark.parametrize("option", ["repeat_penalty", "presence_penalty", "frequency_penalty"])
def test_penalties_see_the_prompt_and_the_completion(model: LlamaModel, option: str) -> None:
    completion = sampled(model, {option: 100.0, "temperature": 0})
    assert len(set(completion)) == COUNT
    assert not set(completion) & set(tokens(model, PROMPT))


@pytest.mark.parametrize(("last_n", "expected"), [(0, "aaa"), (1, "aba"), (2, "abc"), (-1, "abc")])
def test_penalties_look_back_no_further_than_repeat_last_n(model: LlamaModel, last_n: int, expected: str) -> None:
    letters = {letter: tokens(model, letter)[0] for letter in "abc"}
    biases = {str(letters["a"]): 1000, str(letters["b"]): 900, str(letters["c"]): 800}
    options: dict[str, object] = {"temperature": 0, "repeat_penalty": 100.0, "repeat_last_n": last_n}
    assert sampled(model, {**options, "logit_bias": biases}) == [letters[letter] for letter in expected]


def test_penalties_see_no_more_of_the_prompt_than_repeat_last_n(model: LlamaModel) -> None:
    penalty: dict[str, object] = {"temperature": 0, "repeat_penalty": 100.0}
    (likeliest,) = greedy(model, [tokens(model, PROMPT)], COUNT)
    assert sampled(model, {**penalty, "repeat_last_n": 1})[0] == likeliest[0]
    assert sampled(model, {**penalty, "repeat_last_n": -1})[0] != likeliest[0]


def test_dry_ends_a_repetition_that_runs_unless_a_breaker_is_in_it(model: LlamaModel) -> None:
    prompt = "red green blue; red green blue; red green blue; red green"
    (blue,) = tokens(model, " blue")
    dry: dict[str, object] = {"temperature": 0, "dry_multiplier": 100.0}
    assert greedy(model, [tokens(model, prompt)], 1) == [[blue]]
    assert sampled(model, dry, prompt)[0] != blue
    assert sampled(model, {**dry, "dry_sequence_breakers": [" green"]}, prompt)[0] == blue
    assert sampled(model, {**dry, "dry_allowed_length": 20}, prompt)[0] == blue
    assert sampled(model, {**dry, "dry_penalty_last_n": 1}, prompt)[0] == blue


def test_xtc_takes_out_the_likeliest_where_others_are_likely_too(model: LlamaModel) -> None:
    prompt = "My favourite colour is"
    xtc: dict[str, object] = {"temperature": 1e-4, "xtc_probability": 1.0}
    ((likeliest,),) = greedy(model, [tokens(model, prompt)], 1)
    assert sampled(model, {**xtc, "xtc_threshold": 0.01}, prompt)[0] != likeliest
    assert sampled(model, {**xtc, "xtc_threshold": 0.51}, prompt)[0] == likeliest


def test_logit_bias_forces_and_forbids_tokens(model: LlamaModel) -> None:
    (word,) = tokens(model, " banana")
    assert sampled(model, {"logit_bias": {str(word): 100}}) == [word] * COUNT
    ((likeliest,),) = greedy(model, [tokens(model, PROMPT)], 1)
    for bias in (-100, float("-inf")):
        assert likeliest not in sampled(model, {"temperature": 0, "logit_bias": {str(likeliest): bias}})


@pytest.mark.parametrize("options", [{}, {"top_k": 0}, {"mirostat": 1}, {"mirostat": 2}], ids=str)
def test_a_bias_is_refused_or_applied_however_large_it_is(model: LlamaModel, options: dict[str, object]) -> None:
    (word,) = tokens(model, " banana")
    for bias in (1e3, 1e6, 1e9, 1e38, float("inf")):
        with suppress(RequestError):
            assert sampled(model, {**options, "logit_bias": {str(word): bias}}) == [word] * COUNT


def test_a_bias_for_a_token_that_does_not_exist_is_refused_with_the_last_that_does(model: LlamaModel) -> None:
    last = model.n_vocab - 1
    with pytest.raises(RequestError, match=f"logit_bias names token {last + 1}, but the vocabulary ends at {last}"):
        sampled(model, {"logit_bias": {str(last + 1): 1}})
    assert sampled(model, {"logit_bias": {str(last): 100}}) == [last] * COUNT


def test_ignore_eos_never_samples_an_end(model: LlamaModel) -> None:
    bias = {str(token): 50 for token in range(model.n_vocab) if model.is_eog(token)}
    assert model.is_eog(sampled(model, {"logit_bias": bias})[0])
    assert not any(map(model.is_eog, sampled(model, {"logit_bias": bias, "ignore_eos": True})))
