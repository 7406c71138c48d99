"""LoRA adapters change what the model computes, in both contexts, and nothing else."""

import gc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt
import psutil
import pytest

from mcp_llama.engine.cache_files import CacheFiles
from mcp_llama.engine.embedding import EmbedJob
from mcp_llama.engine.llama import LlamaModel, Lora, ModelOptions, UnloadedModel, check_file
from mcp_llama.errors import ModelLoadError
from tests.engine.llama.decoding import extend, tokens
from tests.engine.llama.loras import WIDTH, joined, random_pairs, write_lora
from tests.engine.llama.reference import log_softmax, pooled

TEXT = "The capital of France is Paris, and the capital of Germany is"
OPTIONS = ModelOptions(n_ctx=256, n_slots=1, n_threads=1)
NEAR = 1e-3

Floats = npt.NDArray[np.float64]
ONE, OTHER = random_pairs(1), random_pairs(2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lora")
    write_lora(folder / "one.gguf", ONE)
    write_lora(folder / "other.gguf", OTHER)
    write_lora(folder / "both.gguf", joined(ONE, OTHER))
    return folder


@contextmanager
def adapted(path: Path, *loras: Lora) -> Generator[LlamaModel]:
    model = LlamaModel(path, replace(OPTIONS, lora=loras))
    try:
        yield model
    finally:
        model.close()


def computed(model: LlamaModel) -> tuple[Floats, Floats]:
    """The log probabilities of what follows the text, and its vector."""
    row = extend(model, {0: tokens(model, TEXT)})[0]
    found = dict(model.logprobs(row, 0, model.n_vocab)[1])
    job = EmbedJob([tokens(model, TEXT)], "last")
    job.add(model.embed(*job.next_tokens(128)))
    return np.array([found[token] for token in range(model.n_vocab)]), np.array(job.vectors[0], np.float64)


def with_adapters(path: Path, *loras: Lora) -> tuple[Floats, Floats]:
    with adapted(path, *loras) as model:
        return computed(model)


def test_an_adapter_changes_text_and_vectors_as_much_as_its_scale_says(real_model_path: Path, folder: Path) -> None:
    prompt: list[int] = []
    for scale in (1.0, 0.25):
        with adapted(real_model_path, Lora(folder / "one.gguf", scale)) as model:
            prompt = tokens(model, TEXT)
            logprobs, vector = computed(model)
        options: dict[str, Any] = {"lora_path": str(folder / "one.gguf"), "lora_scale": scale}
        assert np.allclose(logprobs, log_softmax(real_model_path, prompt, **options)[-1], atol=NEAR)
        assert np.allclose(vector, pooled(real_model_path, TEXT, "last", **options), atol=NEAR)
        assert not np.allclose(logprobs, log_softmax(real_model_path, prompt)[-1], atol=0.1)
        assert not np.allclose(vector, pooled(real_model_path, TEXT, "last"), atol=0.01)


def test_an_adapter_of_scale_zero_changes_not_a_bit(real_model_path: Path, folder: Path) -> None:
    logprobs, vector = with_adapters(real_model_path, Lora(folder / "one.gguf", 0.0))
    own_logprobs, own_vector = with_adapters(real_model_path)
    assert np.array_equal(logprobs, own_logprobs)
    assert np.array_equal(vector, own_vector)


def test_adapters_add_up(real_model_path: Path, folder: Path) -> None:
    together = with_adapters(real_model_path, Lora(folder / "one.gguf"), Lora(folder / "other.gguf"))
    summed = with_adapters(real_model_path, Lora(folder / "both.gguf"))
    # The quantised weights round the slightest difference up to a small one.
    for name in ("one.gguf", "other.gguf"):
        alone = with_adapters(real_model_path, Lora(folder / name))
        for found, expected, wrong in zip(together, summed, alone, strict=True):
            assert 3 * np.abs(found - expected).mean() < np.abs(found - wrong).mean()


def test_a_state_of_another_adapter_or_scale_is_not_loaded(real_model_path: Path, folder: Path, tmp_path: Path) -> None:
    retrained = tmp_path / "one.gguf"
    loras = [(), (Lora(retrained),), (Lora(retrained, 0.5),), (Lora(retrained), Lora(folder / "other.gguf"))]
    kinds: set[str] = set()

    def loaded(lora: tuple[Lora, ...]) -> list[list[int]]:
        """The sequences that an earlier run with these adapters has left; then one is left."""
        with adapted(real_model_path, *lora) as model:
            kinds.add(model.state_kind)
            files = CacheFiles(tmp_path / "cache", "ab" * 32, model)
            found = list(files.load_slots(lambda: True).values())
            story = tokens(model, TEXT * 6)
            model.truncate(0, 0)
            extend(model, {0: story})
            files.save_slots({0: story})
            return found

    write_lora(retrained, ONE)
    assert [loaded(lora) for lora in loras] == [[]] * 4
    write_lora(retrained, OTHER)
    assert loaded(loras[1]) == []
    assert len(kinds) == 5
    write_lora(retrained, ONE)
    assert [len(loaded(lora)) for lora in loras] == [1] * 4
    assert len(kinds) == 5


def refusal(path: Path, lora: Path) -> str:
    with pytest.raises(ModelLoadError) as refused, adapted(path, Lora(lora)):
        pass
    return str(refused.value)


def test_an_adapter_that_is_not_there_is_refused_before_anything_is_loaded(
    real_model_path: Path, tmp_path: Path
) -> None:
    lora = Lora(tmp_path / "nowhere.gguf")
    message = f"No LoRA adapter at {lora.path}. Give the path of a GGUF file, FILE or FILE=SCALE."
    assert refusal(real_model_path, lora.path) == message
    for check in (check_file, UnloadedModel):
        with pytest.raises(ModelLoadError) as refused:
            check(real_model_path, replace(OPTIONS, lora=(lora,)))
        assert str(refused.value) == message


def no_gguf(path: Path) -> None:
    path.write_text("Once upon a time", encoding="utf-8")


def cut(path: Path) -> None:
    write_lora(path, ONE)
    path.write_bytes(path.read_bytes()[:-1000])


def a_model(path: Path) -> None:
    write_lora(path, ONE, kind="model")


def of_another_architecture(path: Path) -> None:
    write_lora(path, ONE, architecture="qwen2")


def of_another_size(path: Path) -> None:
    write_lora(path, random_pairs(1, width=WIDTH // 2))


def of_another_shape(path: Path) -> None:
    write_lora(path, ONE, tensor="attn_of_no_model")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (no_gguf, "magic"),
        (cut, "file is corrupted or incomplete"),
        (a_model, "expect general.type to be 'adapter', but got: model"),
        (of_another_architecture, "model arch and LoRA arch mismatch"),
        (of_another_size, "has incorrect shape"),
        (of_another_shape, "does not exist in base model"),
    ],
)
def test_a_file_that_is_no_adapter_of_this_model_is_refused(
    write: Callable[[Path], None], reason: str, real_model_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "lora.gguf"
    write(path)
    message = refusal(real_model_path, path)
    assert message.startswith(f"{path} could not be loaded as a LoRA adapter: ")
    assert reason in message
    assert message.endswith(". Give one that was made for this model.")


def test_what_went_wrong_before_is_not_the_reason(real_model_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "lora.gguf"
    a_model(path)

    def stumble(share: float) -> bool:
        if share == 1:
            assert not llama_cpp.llama_model_load_from_file(b"/nowhere.gguf", llama_cpp.llama_model_default_params())
        return True

    with pytest.raises(ModelLoadError, match=r"expect general\.type to be 'adapter'"):
        LlamaModel(real_model_path, replace(OPTIONS, lora=(Lora(path),)), stumble)


def test_an_adapter_that_acts_on_a_part_of_a_text_is_refused(real_model_path: Path, tmp_path: Path) -> None:
    path = write_lora(tmp_path / "lora.gguf", ONE, invoked_by=(1, 2, 3))
    assert refusal(real_model_path, path).startswith(f"{path} is an activated LoRA (aLoRA)")


def test_adapters_count_as_memory(real_model_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loras = (Lora(folder / "one.gguf"), Lora(folder / "both.gguf"))
    size = sum(lora.path.stat().st_size for lora in loras)
    options = replace(OPTIONS, lora=loras)
    bare, unloaded = UnloadedModel(real_model_path, OPTIONS), UnloadedModel(real_model_path, options)
    assert unloaded.need.weights - bare.need.weights == size
    with adapted(real_model_path, *loras) as model:
        assert model.memory - bare.memory == size
    bare.close()
    unloaded.close()
    free = psutil.virtual_memory()._replace(available=real_model_path.stat().st_size + size - 1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    check_file(real_model_path, OPTIONS)
    with pytest.raises(ModelLoadError, match="of memory are free"):
        check_file(real_model_path, options)


def test_adapters_are_freed_with_their_model(real_model_path: Path, tmp_path: Path) -> None:
    path = write_lora(tmp_path / "large.gguf", random_pairs(3, rank=256))
    cut_path = tmp_path / "cut.gguf"
    cut_path.write_bytes(path.read_bytes()[:-1000])
    process = psutil.Process()

    def load_and_close() -> int:
        with adapted(real_model_path, Lora(path)):
            pass
        with pytest.raises(ModelLoadError), adapted(real_model_path, Lora(path), Lora(cut_path)):
            pass
        gc.collect()
        return process.memory_info().rss

    before = load_and_close()
    for _ in range(2):
        load_and_close()
    assert load_and_close() - before < path.stat().st_size
