import gc
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from mcp_llama.engine.llama import LlamaModel, ModelOptions, check_file
from mcp_llama.engine.llama.library import heard
from mcp_llama.engine.llama.weights import recommended_sampling
from mcp_llama.engine.sampling import SamplingParams
from mcp_llama.errors import ConfigError, ModelLoadError
from tests.engine.llama.decoding import greedy, tokens
from tests.engine.llama.gguf import copy_with_metadata

SMALL = ModelOptions(n_ctx=512, n_slots=2, n_threads=1)


def memory(monkeypatch: pytest.MonkeyPatch, available: int) -> None:
    """Let the machine have so many free bytes."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=available))


def refusal(path: Path) -> str:
    with pytest.raises(ModelLoadError) as refused:
        LlamaModel(path, SMALL)
    return str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        assert refusal(path) == f"No model file at {path}. Give the path of a GGUF file."


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 a zip file", b"GGML"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert refusal(path) == (
        f"{path} is not a GGUF file (it starts with {content[:4]!r}). Give the path of a GGUF file."
    )


@pytest.mark.parametrize("size", [4, 23, 1000, 1_000_000, 50_000_000])
def test_an_incomplete_file_is_refused(tmp_path: Path, real_model_path: Path, size: int) -> None:
    path = tmp_path / "model.gguf"
    with real_model_path.open("rb") as whole:
        path.write_bytes(whole.read(size))
    message = refusal(path)
    path.unlink()
    assert message.startswith(f"{path} could not be loaded: ")
    assert message.endswith("The file may be incomplete.")
    assert "no reason given" not in message


def test_a_file_larger_than_the_free_memory_is_refused(monkeypatch: pytest.MonkeyPatch, real_model_path: Path) -> None:
    memory(monkeypatch, 50_000_000)
    with pytest.raises(ModelLoadError, match=r"has 0\.1 GiB, but only 0\.0 GiB of memory are free"):
        check_file(real_model_path, ModelOptions())
    check_file(real_model_path, ModelOptions(n_gpu_layers=99))


def test_a_context_longer_than_the_model_was_trained_on_is_refused(real_model_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^n_ctx is 8,193, but the model was trained on 8,192 tokens\. "):
        LlamaModel(real_model_path, ModelOptions(n_ctx=8193))


def test_loading_goes_from_nothing_to_all_and_leaves_the_slots_empty(real_model_path: Path) -> None:
    shares: list[float] = []
    model = LlamaModel(real_model_path, SMALL, lambda share: shares.append(share) is None)
    assert [model.held_tokens(slot) for slot in range(model.n_slots)] == [0, 0]
    model.close()
    assert all(before <= after for before, after in pairwise(shares))
    assert 0 <= shares[0] < shares[-1] == 1


@pytest.mark.parametrize("no_mmap", [False, True])
def test_a_file_is_mapped_unless_that_is_not_wanted(no_mmap: bool, real_model_path: Path) -> None:
    with heard() as lines:
        LlamaModel(real_model_path, replace(SMALL, no_mmap=no_mmap)).close()
    assert any("CPU_Mapped model buffer" in line for line in lines) != no_mmap


def test_loading_ends_when_it_is_told_to(real_model_path: Path) -> None:
    shares: list[float] = []

    def give_up(share: float) -> bool:
        shares.append(share)
        return share < 0.5

    with pytest.raises(ModelLoadError):
        LlamaModel(real_model_path, SMALL, give_up)
    assert len(shares) > 1
    assert shares[-1] < 1


def test_context_and_slots_shrink_to_the_memory_that_is_free(
    monkeypatch: pytest.MonkeyPatch, real_model_path: Path
) -> None:
    memory(monkeypatch, 200_000_000)
    model = LlamaModel(real_model_path, ModelOptions(n_batch=64, n_threads=1))
    assert (model.n_slots, model.n_ctx) == (1, 2048)
    assert len(greedy(model, [tokens(model, "Hello")], 2)[0]) == 2
    model.close()


def test_a_cache_larger_than_the_free_memory_is_refused(monkeypatch: pytest.MonkeyPatch, real_model_path: Path) -> None:
    memory(monkeypatch, 200_000_000)
    with pytest.raises(ModelLoadError, match=r"4 slots of 8,192 tokens need 0\.7 GiB for the KV cache"):
        LlamaModel(real_model_path, ModelOptions(n_ctx=8192, n_slots=4))


def test_the_sampling_that_a_file_recommends_becomes_the_default(tmp_path: Path, real_model_path: Path) -> None:
    path = tmp_path / "model.gguf"
    recommended: dict[str, float | str] = {
        "general.sampling.temp": 0.25,
        "general.sampling.top_k": 7,
        "general.sampling.penalty_last_n": 33,
        "general.sampling.penalty_repeat": 1.5,
    }
    copy_with_metadata(real_model_path, path, recommended)
    model = LlamaModel(path, SMALL)
    path.unlink()
    assert model.default_sampling == SamplingParams(temperature=0.25, top_k=7, repeat_last_n=33, repeat_penalty=1.5)
    assert len(greedy(model, [tokens(model, "Hello")], 2)[0]) == 2
    model.close()


def test_a_file_that_recommends_nothing_leaves_the_defaults(model: LlamaModel) -> None:
    assert model.default_sampling == SamplingParams()


@pytest.mark.parametrize(("key", "value"), [("top_k", "-1"), ("temp", "-1.000000"), ("top_p", "high"), ("temp", "nan")])
def test_a_recommendation_that_makes_no_sense_is_left_out(key: str, value: str) -> None:
    metadata = {f"general.sampling.{key}": value, "general.sampling.min_p": "0.125"}
    assert SamplingParams().override(recommended_sampling(metadata)) == SamplingParams(min_p=0.125)


def test_models_that_were_closed_leave_no_memory_behind(real_model_path: Path) -> None:
    process = psutil.Process()

    def load_and_close() -> int:
        with pytest.raises(ConfigError):
            LlamaModel(real_model_path, ModelOptions(n_ctx=8193))
        LlamaModel(real_model_path, SMALL).close()
        gc.collect()
        return process.memory_info().rss

    before = load_and_close()
    for _ in range(2):
        load_and_close()
    assert load_and_close() - before < 60_000_000


USE_AFTER_CLOSE = """
import sys
from pathlib import Path
from mcp_llama.engine.llama import LlamaModel, ModelOptions, check_file
from mcp_llama.errors import McpLlamaError

model = LlamaModel(Path(sys.argv[1]), ModelOptions(n_ctx=512, n_slots=1))
model.close()
try:
    model.tokenize("hello world " * 100, add_special=True, parse_special=True)
except McpLlamaError:
    pass
model.abort()
"""


def test_what_any_thread_may_call_does_not_crash_after_the_model_was_closed(real_model_path: Path) -> None:
    command = [sys.executable, "-c", USE_AFTER_CLOSE, str(real_model_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
