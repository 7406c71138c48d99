from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_llama.engine.engine import Engine
from mcp_llama.engine.llama import LlamaModel, ModelOptions
from tests.engine.llama.decoding import RecordingModel, greedy, tokens

# One thread does not wait for another at llama.cpp's barriers while the machine does something else.
OPTIONS = ModelOptions(n_ctx=512, n_slots=4, n_threads=1)


@pytest.fixture(scope="session")
def loaded_model(real_model_path: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(real_model_path, OPTIONS)
    yield model
    model.close()


@pytest.fixture
def model(loaded_model: LlamaModel) -> LlamaModel:
    """A model without an engine, with empty slots."""
    loaded_model.clear_abort()
    for slot in range(loaded_model.n_slots):
        loaded_model.truncate(slot, 0)
    return loaded_model


@pytest.fixture(scope="session")
def engine_model(real_model_path: Path) -> Iterator[tuple[Engine, RecordingModel]]:
    """An engine and its model, which the engine closes."""
    model = RecordingModel(real_model_path, OPTIONS)
    engine = Engine(model)
    yield engine, model
    engine.close()


@pytest.fixture(scope="session")
def batch_size_changes_rounding(loaded_model: LlamaModel) -> bool:
    """Whether llama.cpp's kernels on this processor round differently when a batch has more rows."""
    prompts = [tokens(loaded_model, text) for text in ("The sea is", "Once upon a time there was a", "def add(a, b):")]
    together = greedy(loaded_model, prompts, 16)
    return together != [greedy(loaded_model, [prompt], 16)[0] for prompt in prompts]
