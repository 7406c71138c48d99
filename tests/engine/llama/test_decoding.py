import threading

import pytest

from mcp_llama.engine.engine import Engine
from mcp_llama.engine.llama import LlamaModel
from mcp_llama.engine.model import DecodeAbortedError, DecodeError, Rows
from mcp_llama.errors import EngineError
from tests.engine.llama.decoding import RecordingModel, complete, extend, greedy, text, tokens
from tests.engine.sequences import GREEDY, finish, request, run, run_all
from tests.gate import PATIENCE_S

EngineModel = tuple[Engine, RecordingModel]
PROMPTS = ("The capital of France is", "1 2 3 4", "Once upon a time there was a princess who", "import os\n")


async def test_requests_say_the_same_together_and_alone(
    engine_model: EngineModel, model: LlamaModel, batch_size_changes_rounding: bool
) -> None:
    engine, _ = engine_model
    prompts = [tokens(model, prompt) for prompt in PROMPTS]
    results = await run_all(engine, *(request(prompt, 24) for prompt in prompts))
    # Where the number of rows changes the rounding, equal tokens cannot be asked of different batches; there the
    # next test, which decodes the engine's own batches again, is the one that decides.
    if not batch_size_changes_rounding:
        assert [r.text for r in results] == [text(model, greedy(model, [prompt], 24)[0]) for prompt in prompts]


async def test_the_engine_samples_what_its_batches_give(engine_model: EngineModel, model: LlamaModel) -> None:
    engine, recording = engine_model
    prompts = [tokens(model, f"Chapter {chapter}:{prompt}") for chapter, prompt in enumerate(PROMPTS)]
    recording.batches = []
    await run_all(engine, *(request(prompt, 24) for prompt in prompts))
    batches, recording.batches = recording.batches, None
    assert max(len(set(rows.slots)) for rows in batches) == 4
    sampler = model.sampler(GREEDY, ())
    following: dict[tuple[int, int], int] = {}
    checked = 0
    for rows in batches:
        model.decode(rows)
        for row, (token, position, slot) in enumerate(zip(rows.tokens, rows.positions, rows.slots, strict=True)):
            checked += (slot, position) in following
            assert following.get((slot, position), token) == token
            if rows.outputs[row]:
                following[slot, position + 1] = sampler.sample(row)
    sampler.close()
    assert checked == 4 * 23


async def test_a_cached_prompt_gives_what_a_cold_one_gives(engine_model: EngineModel, model: LlamaModel) -> None:
    engine, _ = engine_model
    prompt = tokens(model, "In the year 1066, William the Conqueror")
    cold, warm = await run(engine, request(prompt, 12)), await run(engine, request(prompt, 12))
    assert cold.text == text(model, greedy(model, [prompt], 12)[0])
    assert warm.usage.cached_tokens == len(prompt) - 1
    model.truncate(0, len(prompt) - 1)
    assert warm.text == text(model, complete(model, [prompt], 12, GREEDY)[0])


def test_a_truncated_slot_holds_only_its_start(model: LlamaModel) -> None:
    prompt = tokens(model, "one two three four five six seven")
    extend(model, {0: prompt, 1: prompt})
    assert model.truncate(1, 3) == 3
    assert [model.held_tokens(slot) for slot in range(3)] == [len(prompt), 3, 0]
    assert model.truncate(1, 0) == 0
    assert [model.held_tokens(slot) for slot in range(3)] == [len(prompt), 0, 0]


def test_nothing_of_what_was_cut_off_is_left(model: LlamaModel) -> None:
    prompt = tokens(model, "The opposite of hot is")
    (expected,) = greedy(model, [prompt], 8)
    model.truncate(0, 2)
    extend(model, {0: prompt[:2] + tokens(model, " something else entirely")})
    model.truncate(0, 2)
    assert complete(model, [prompt], 8, GREEDY) == [expected]


def test_a_neighbour_in_the_batch_changes_nothing_but_its_own_slot(model: LlamaModel) -> None:
    prompt = tokens(model, "The opposite of hot is")
    extend(model, {0: prompt, 3: prompt})
    assert [model.held_tokens(slot) for slot in range(4)] == [len(prompt), 0, 0, len(prompt)]


def test_an_abort_ends_a_decode_that_runs_and_the_context_stays_usable(model: LlamaModel) -> None:
    prompt = tokens(model, "The capital of France is")
    (expected,) = greedy(model, [prompt], 8)
    long = prompt * 30
    decoded_once, aborted = threading.Event(), threading.Event()

    def decode_until_aborted() -> None:
        try:
            while True:
                model.truncate(1, 0)
                extend(model, {1: long})
                decoded_once.set()
        except DecodeAbortedError:
            aborted.set()

    thread = threading.Thread(target=decode_until_aborted, daemon=True)
    thread.start()
    assert decoded_once.wait(PATIENCE_S)
    model.abort()
    assert aborted.wait(PATIENCE_S)
    thread.join()
    model.clear_abort()
    model.truncate(1, 0)
    assert greedy(model, [prompt], 8) == [expected]


def test_an_abort_that_was_cleared_ends_nothing(model: LlamaModel) -> None:
    model.abort()
    with pytest.raises(DecodeAbortedError):
        extend(model, {0: tokens(model, "The capital of France is")})
    model.clear_abort()
    model.truncate(0, 0)
    extend(model, {0: tokens(model, "The capital of France is")})


def test_rows_that_leave_a_gap_are_a_decode_error_and_the_context_stays_usable(model: LlamaModel) -> None:
    prompt = tokens(model, "The capital of France is")
    (expected,) = greedy(model, [prompt], 8)
    with pytest.raises(DecodeError, match="llama_decode returned -1"):
        model.decode(Rows([1], [100], [0], [True]))
    assert greedy(model, [prompt], 8) == [expected]


async def test_a_token_that_does_not_exist_ends_only_its_own_request(
    engine_model: EngineModel, model: LlamaModel
) -> None:
    engine, _ = engine_model
    prompt = tokens(model, "The opposite of hot is")
    async with engine.generate(request(prompt, 12)) as good:
        with pytest.raises(EngineError, match="could not compute this request"):
            await run(engine, request([*prompt, model.n_vocab], 4))
        assert (await finish(good)).usage.completion_tokens == 12
    assert (await run(engine, request(prompt, 12))).usage.cached_tokens == len(prompt) - 1


async def test_leaving_in_prefill_frees_the_slot(engine_model: EngineModel, model: LlamaModel) -> None:
    engine, _ = engine_model
    prompt = tokens(model, "The opposite of hot is")
    expected = await run(engine, request(prompt, 8))
    for number in range(8):
        async with engine.generate(request((tokens(model, f"{number} ") * 400)[:400], 8)):
            pass
    assert (await run(engine, request(prompt, 8))).text == expected.text
