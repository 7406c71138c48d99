import threading
from pathlib import Path

import anyio
import numpy as np
import pytest

from mcp_llama.engine.embedding import EmbedJob
from mcp_llama.engine.engine import Engine
from mcp_llama.engine.llama import LlamaModel, ModelOptions
from mcp_llama.engine.llama.embedder import own_pooling
from mcp_llama.engine.model import EMBED_ROWS, DecodeAbortedError, Pooling, Vectors
from mcp_llama.errors import EngineError
from tests.engine.llama.decoding import RecordingModel, tokens
from tests.engine.llama.reference import pooled
from tests.engine.sequences import finish, request, run
from tests.gate import PATIENCE_S

EngineModel = tuple[Engine, RecordingModel]
SHORT = "The cat sleeps on the warm windowsill."
LONG = " ".join(f"Chapter {number}: the ship left the harbour at dawn and sailed north." for number in range(14))


def computed(model: LlamaModel, text: str, pooling: Pooling, rows: int = EMBED_ROWS) -> Vectors:
    """The vector of a text that is computed so many tokens a time, without an engine."""
    job = EmbedJob([model.tokenize(text, add_special=True, parse_special=False)], pooling)
    while not job.is_done:
        part, position = job.next_tokens(rows)
        job.add(model.embed(part, position))
    return job.vectors[0]


async def vectors(engine: Engine, *texts: list[int]) -> list[Vectors]:
    with anyio.fail_after(3 * PATIENCE_S):
        async with engine.embed(texts, request("").arrival) as embedding:
            return await embedding.result()


@pytest.mark.parametrize("text", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_a_vector_is_what_llama_cpp_pools_itself(
    model: LlamaModel, real_model_path: Path, pooling: Pooling, text: str
) -> None:
    vector = computed(model, text, pooling)
    assert (len(tokens(model, text)) > EMBED_ROWS) == (text == LONG)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert np.allclose(vector, pooled(real_model_path, text, pooling), atol=1e-3)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_the_parts_of_a_text_give_what_the_whole_gives(model: LlamaModel, pooling: Pooling) -> None:
    whole = computed(model, SHORT * 4, pooling)
    for rows in (1, 7):
        assert np.allclose(computed(model, SHORT * 4, pooling, rows), whole, atol=1e-3)


async def test_texts_keep_their_order_and_the_same_text_its_vector(
    engine_model: EngineModel, model: LlamaModel
) -> None:
    engine, _ = engine_model
    short, long = tokens(model, SHORT), tokens(model, LONG)
    a, b, again = await vectors(engine, short, long, short)
    assert np.array_equal(a, again)
    assert not np.allclose(a, b, atol=1e-2)
    assert np.array_equal(np.stack(await vectors(engine, long, short)), np.stack([b, a]))


async def test_texts_that_mean_the_same_are_closer_than_others(engine_model: EngineModel, model: LlamaModel) -> None:
    texts = (SHORT, "A kitten is asleep on a sunny window ledge.", "def parse(line): return line.split(',')[1:]")
    cat, kitten, code = await vectors(engine_model[0], *(tokens(model, text) for text in texts))
    assert float(cat @ kitten) > float(cat @ code) + 0.05


async def test_vectors_and_generations_do_not_change_each_other(engine_model: EngineModel, model: LlamaModel) -> None:
    engine, _ = engine_model
    prompt, texts = tokens(model, "The opposite of hot is"), [tokens(model, SHORT), tokens(model, LONG)]
    await run(engine, request(prompt, 24))
    expected_text, expected_vectors = (await run(engine, request(prompt, 24))).text, await vectors(engine, *texts)
    async with engine.generate(request(prompt, 24)) as generation:
        found = await vectors(engine, *texts)
        assert (await finish(generation)).text == expected_text
    assert np.array_equal(np.stack(found), np.stack(expected_vectors))


async def test_a_token_that_does_not_exist_ends_only_its_own_request(
    engine_model: EngineModel, model: LlamaModel
) -> None:
    engine, _ = engine_model
    (expected,) = await vectors(engine, tokens(model, SHORT))
    with pytest.raises(EngineError, match="could not compute this text"):
        await vectors(engine, tokens(model, LONG), [*tokens(model, LONG), model.n_vocab])
    assert np.array_equal((await vectors(engine, tokens(model, SHORT)))[0], expected)


async def test_leaving_in_mid_decode_leaves_the_next_its_vector(engine_model: EngineModel, model: LlamaModel) -> None:
    engine, _ = engine_model
    (expected,) = await vectors(engine, tokens(model, SHORT))
    for _ in range(4):
        async with engine.embed([tokens(model, LONG)] * 50, request("").arrival):
            # Each of its decodes comes after one of the texts'.
            await run(engine, request(tokens(model, "a b c"), 3))
        assert np.array_equal((await vectors(engine, tokens(model, SHORT)))[0], expected)


def test_an_abort_ends_a_decode_that_runs_and_the_next_text_begins_anew(model: LlamaModel) -> None:
    expected = computed(model, SHORT, "mean")
    begun, aborted = threading.Event(), threading.Event()

    def embed_until_aborted() -> None:
        try:
            while True:
                computed(model, LONG, "mean")
                begun.set()
        except DecodeAbortedError:
            aborted.set()

    thread = threading.Thread(target=embed_until_aborted, daemon=True)
    thread.start()
    assert begun.wait(PATIENCE_S)
    model.abort()
    assert aborted.wait(PATIENCE_S)
    thread.join()
    model.clear_abort()
    assert np.array_equal(computed(model, SHORT, "mean"), expected)


@pytest.mark.parametrize(
    ("metadata", "pooling"),
    [
        ({}, "mean"),
        ({"general.architecture": "llama"}, "mean"),
        ({"general.architecture": "llama", "llama.pooling_type": "1"}, "mean"),
        ({"general.architecture": "llama", "llama.pooling_type": "2"}, "cls"),
        ({"general.architecture": "qwen3", "qwen3.pooling_type": "3"}, "last"),
        ({"general.architecture": "qwen3", "llama.pooling_type": "3"}, "mean"),
        ({"general.architecture": "llama", "llama.pooling_type": "0"}, "mean"),
        ({"general.architecture": "llama", "llama.pooling_type": "4"}, "mean"),
        ({"general.architecture": "llama", "llama.pooling_type": "last"}, "mean"),
    ],
)
def test_a_model_is_pooled_as_its_file_says(metadata: dict[str, str], pooling: Pooling) -> None:
    assert own_pooling(metadata) == pooling


def test_the_option_decides_how_a_model_is_pooled(real_model_path: Path, model: LlamaModel) -> None:
    other = LlamaModel(real_model_path, ModelOptions(n_ctx=512, n_slots=1, n_threads=1, pooling="last"))
    assert (model.pooling, other.pooling) == ("mean", "last")
    other.close()
