from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from mcp_llama.api import Result
from mcp_llama.engine.engine import Engine
from mcp_llama.engine.llama import LlamaModel
from mcp_llama.engine.sampling import SamplingParams
from tests.engine.llama.decoding import RecordingModel, extend, tokens
from tests.engine.llama.reference import log_softmax
from tests.engine.sequences import GREEDY, request, run, run_all

EngineModel = tuple[Engine, RecordingModel]
PROMPTS = ("The capital of France is", "1 2 3 4", "Once upon a time there was a princess who", "Ein Gruß: schöne")
TOP = 5
NEAR = 1e-3


async def sampled(engine: Engine, prompt: list[int], options: Mapping[str, object]) -> Result:
    sampling = SamplingParams(seed=3).override(options)
    return await run(engine, request(prompt, 10, sampling=sampling, top_logprobs=TOP))


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0},
        {"temperature": 1.5, "top_k": 0, "min_p": 0.0},
        {"temperature": 0.2, "top_k": 3, "repeat_penalty": 3.0},
        {"logit_bias": {"260": 9.0}},
    ],
    ids=str,
)
async def test_log_probabilities_are_those_of_the_raw_logits_whatever_the_sampling(
    engine_model: EngineModel, model: LlamaModel, real_model_path: Path, options: dict[str, object]
) -> None:
    prompt = tokens(model, PROMPTS[2])
    result = await sampled(engine_model[0], prompt, options)
    completion = [entry.sampled.token for entry in result.logprobs]
    assert len(completion) == result.usage.completion_tokens
    expected = log_softmax(real_model_path, [*prompt, *completion])[len(prompt) - 1 : -1]
    for entry, row in zip(result.logprobs, expected, strict=True):
        assert entry.sampled.logprob == pytest.approx(row[entry.sampled.token], abs=NEAR)
        likeliest = np.sort(row)[::-1][:TOP]
        assert [other.logprob for other in entry.top] == pytest.approx(list(likeliest), abs=NEAR)
        assert [row[other.token] for other in entry.top] == pytest.approx(list(likeliest), abs=NEAR)


@pytest.mark.parametrize("prompt", PROMPTS)
async def test_greedy_decoding_samples_the_first_of_the_likeliest(
    engine_model: EngineModel, model: LlamaModel, prompt: str
) -> None:
    result = await run(engine_model[0], request(tokens(model, prompt), 12, top_logprobs=TOP))
    for entry in result.logprobs:
        assert entry.sampled == entry.top[0]
        assert [other.logprob for other in entry.top] == sorted((o.logprob for o in entry.top), reverse=True)
        assert len({other.token for other in entry.top}) == TOP


@pytest.mark.parametrize("prompt", PROMPTS)
async def test_the_pieces_are_the_text_and_the_offsets_point_into_it(
    engine_model: EngineModel, model: LlamaModel, prompt: str
) -> None:
    result = await run(engine_model[0], request(tokens(model, prompt), 12, top_logprobs=0))
    assert b"".join(entry.sampled.piece for entry in result.logprobs).decode("utf-8", "ignore") == result.text
    for entry in result.logprobs:
        assert entry.sampled.piece == model.token_piece(entry.sampled.token)
        assert result.text.encode()[len(result.text[: entry.offset].encode()) :].startswith(entry.sampled.piece)


def test_the_probabilities_of_all_tokens_are_one_together(model: LlamaModel) -> None:
    row = extend(model, {0: tokens(model, PROMPTS[0])})[0]
    logprob, all_of_them = model.logprobs(row, 7, model.n_vocab)
    assert sorted(token for token, _ in all_of_them) == list(range(model.n_vocab))
    assert sum(np.exp([value for _, value in all_of_them])) == pytest.approx(1, abs=1e-5)
    assert [value for _, value in all_of_them] == sorted((value for _, value in all_of_them), reverse=True)
    assert dict(all_of_them)[7] == logprob


@pytest.mark.parametrize("top", [0, 1, 20])
def test_as_many_of_the_likeliest_are_given_as_asked_for(model: LlamaModel, top: int) -> None:
    row = extend(model, {0: tokens(model, PROMPTS[0])})[0]
    all_of_them = model.logprobs(row, 7, model.n_vocab)[1]
    assert model.logprobs(row, 7, top)[1] == all_of_them[:top]


def test_each_row_of_a_batch_has_its_own(model: LlamaModel) -> None:
    contents = {slot: tokens(model, prompt) for slot, prompt in enumerate(PROMPTS)}
    rows = extend(model, contents)
    sampler = model.sampler(GREEDY, ())
    likeliest = {slot: model.logprobs(row, 0, 1)[1][0][0] for slot, row in rows.items()}
    assert likeliest == {slot: sampler.sample(row) for slot, row in rows.items()}
    sampler.close()
    assert len(set(likeliest.values())) > 1


async def test_control_tokens_are_named(engine_model: EngineModel, model: LlamaModel) -> None:
    (start,) = tokens(model, "<|im_start|>")
    sampling = SamplingParams(seed=0, temperature=0.0, logit_bias=((start, 1000.0),))
    result = await run(engine_model[0], request(tokens(model, "a"), 3, sampling=sampling, top_logprobs=1))
    assert result.text == ""
    assert [(entry.sampled.piece, entry.offset) for entry in result.logprobs] == [(b"<|im_start|>", 0)] * 3


async def test_asking_changes_no_text_and_neighbours_change_no_entry(
    engine_model: EngineModel, model: LlamaModel, batch_size_changes_rounding: bool
) -> None:
    engine, _ = engine_model
    asked = [request(tokens(model, prompt), 12, top_logprobs=TOP) for prompt in PROMPTS]
    alone = [await run(engine, each) for each in asked]
    plain = [await run(engine, request(each.prompt, 12)) for each in asked]
    assert [result.text for result in alone] == [result.text for result in plain]
    together = await run_all(engine, *asked)
    if not batch_size_changes_rounding:
        for one, other in zip(alone, together, strict=True):
            assert [e.sampled.token for e in one.logprobs] == [e.sampled.token for e in other.logprobs]
            assert [e.sampled.logprob for e in one.logprobs] == pytest.approx(
                [e.sampled.logprob for e in other.logprobs], abs=NEAR
            )
