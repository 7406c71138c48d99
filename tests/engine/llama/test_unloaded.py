"""What a model is said to need is what llama.cpp allocates for it."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from mcp_llama.engine.llama import LlamaModel, ModelOptions, UnloadedModel
from mcp_llama.engine.llama.library import heard
from mcp_llama.engine.llama.unloaded import sizes_in
from mcp_llama.errors import ConfigError, ModelLoadError

MIB = 2**20
ROUNDING = 0.01 * MIB
"""llama.cpp's log has two decimals of a MiB."""


def allocated(lines: list[str], kind: str) -> int:
    """The bytes of the buffers of a kind that llama.cpp has really made."""
    return round(
        MIB * sum(float(size) for size in re.findall(rf"{kind} buffer size = +([\d.]+) MiB", "\n".join(lines)))
    )


@pytest.mark.parametrize(
    "options",
    [
        ModelOptions(n_ctx=512, n_slots=1, n_threads=1),
        ModelOptions(n_ctx=1024, n_slots=5, n_batch=64, n_threads=1),
        ModelOptions(n_ctx=1024, n_slots=5, n_cells=2048, n_threads=1),
        ModelOptions(n_ctx=1024, n_slots=2, n_threads=1, flash_attn="off"),
    ],
)
def test_the_need_is_what_a_loaded_model_takes(real_model_path: Path, options: ModelOptions) -> None:
    unloaded = UnloadedModel(real_model_path, options)
    with heard() as lines:
        loaded = LlamaModel(real_model_path, options)
    try:
        assert unloaded.need.weights == unloaded.size == loaded.size
        assert unloaded.need.cache == pytest.approx(allocated(lines, "KV"), abs=ROUNDING)
        compute = allocated(lines, "compute") + allocated(lines, "output")
        assert unloaded.need.compute == pytest.approx(compute, abs=2 * ROUNDING)
        assert min(unloaded.need.cache, compute) > MIB
        assert unloaded.need.total == sum((unloaded.need.weights, unloaded.need.cache, unloaded.need.compute))
        assert (unloaded.n_ctx, unloaded.n_slots) == (loaded.n_ctx, loaded.n_slots)
        assert (unloaded.description, unloaded.metadata) == (loaded.description, loaded.metadata)
        assert unloaded.chat_template == loaded.chat_template
    finally:
        unloaded.close()
        loaded.close()


def test_the_defaults_are_those_of_a_loaded_model(real_model_path: Path) -> None:
    unloaded = UnloadedModel(real_model_path, ModelOptions())
    assert (unloaded.n_ctx, unloaded.n_slots) == (8192, 4)
    unloaded.close()


def test_what_fits_no_memory_is_told_and_takes_none(real_model_path: Path) -> None:
    before = psutil.Process().memory_info().rss
    unloaded = UnloadedModel(real_model_path, ModelOptions(n_ctx=8192, n_slots=256, n_threads=1))
    assert unloaded.need.cache == 256 * 8192 * 30 * 2 * 192 * 2
    assert psutil.Process().memory_info().rss - before < 200 * MIB
    unloaded.close()


def test_a_model_larger_than_the_memory_is_told_too(real_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = psutil.virtual_memory()._replace(available=MIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(ModelLoadError, match="of memory are free"):
        LlamaModel(real_model_path, ModelOptions())
    unloaded = UnloadedModel(real_model_path, ModelOptions())
    assert (unloaded.n_ctx, unloaded.n_slots) == (512, 1)
    unloaded.close()
    unloaded = UnloadedModel(real_model_path, ModelOptions(n_ctx=10_000, n_slots=3, cut_n_ctx=True))
    assert (unloaded.n_ctx, unloaded.n_slots) == (8192, 3)
    unloaded.close()


def test_a_damaged_file_and_an_option_that_does_not_fit_are_refused(real_model_path: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.gguf"
    with real_model_path.open("rb") as file:
        short.write_bytes(file.read(100_000))
    with pytest.raises(ModelLoadError, match="could not be loaded"):
        UnloadedModel(short, ModelOptions())
    with pytest.raises(ModelLoadError, match="No model file"):
        UnloadedModel(tmp_path / "nowhere.gguf", ModelOptions())
    with pytest.raises(ConfigError, match="trained on 8,192 tokens"):
        UnloadedModel(real_model_path, ModelOptions(n_ctx=10_000))


def test_a_cache_is_counted_once_where_llama_cpp_tells_of_its_buffers_too() -> None:
    lines = [
        "llama_kv_cache:        CPU KV buffer size =     0.00 MiB",
        "llama_kv_cache: size =   12.00 MiB (   512 cells,  12 layers,  4/4 seqs), K (f16):    6.00 MiB, V (f16): 6.00",
        "llama_memory_recurrent:        CPU RS buffer size =     3.50 MiB",
        "llama_memory_recurrent: size =    3.50 MiB (     4 cells,  24 layers,  4 seqs), R (f32):    0.50 MiB",
        "llama_context:        CPU  output buffer size =     0.25 MiB",
        "sched_reserve:        CPU compute buffer size =     1.00 MiB",
    ]
    assert sizes_in(lines) == (int(15.5 * MIB), int(1.25 * MIB))


def test_only_what_is_logged_meanwhile_is_heard(real_model_path: Path) -> None:
    with heard() as outer:
        with heard() as inner:
            UnloadedModel(real_model_path, ModelOptions(n_ctx=256, n_slots=1)).close()
        count = len(inner)
        UnloadedModel(real_model_path, ModelOptions(n_ctx=256, n_slots=1)).close()
    assert 0 < len(inner) == count < len(outer)


def test_what_other_threads_load_is_not_heard(real_model_path: Path) -> None:
    options = ModelOptions(n_ctx=256, n_slots=1, n_threads=1)
    with heard() as lines, ThreadPoolExecutor(1) as other:
        other.submit(UnloadedModel, real_model_path, options).result().close()
    assert lines == []
