"""What was given of the options of loading reaches the processes that load the model, and nothing else does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_llama.config import load_settings
from mcp_llama.engine.llama import Lora
from mcp_llama.errors import ConfigError
from mcp_llama.loading_flags import loading_flags, model_of
from mcp_llama.settings.bench import BenchSettings
from mcp_llama.settings.model import ModelSettings
from tests.isolation import isolation

GIVEN = [
    *("--n-ctx", "64", "--n-slots", "3", "--n-cells", "100", "--n-batch", "48", "--n-threads", "2"),
    *("--n-gpu-layers", "-1", "--no-mmap", "--flash-attn", "on", "--type-k", "q8_0", "--type-v", "bf16"),
    *("--rope-scaling", "yarn", "--rope-freq-base", "1e-07", "--rope-freq-scale", "0.3", "--yarn-orig-ctx", "32"),
    *("--lora", "/a/one=1.gguf", "--lora", "/a/other.gguf=-0.1", "--lora", "/a/one=1.gguf", "--pooling", "cls"),
]
"""Every option of loading, with a value that is not the default."""


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


def test_every_option_comes_out_as_it_went_in() -> None:
    settings = load_settings(BenchSettings, "bench", [*GIVEN, "--tokens", "5"])
    assert set(ModelSettings.model_fields) - settings.model_fields_set == {"model", "config", "log_level"}
    path, options = model_of([*loading_flags(settings), "--model", "a.gguf"])
    assert path == Path("a.gguf")
    assert options == settings.model_options()
    one = Lora(Path("/a/one=1.gguf"))
    assert options.lora == (one, Lora(Path("/a/other.gguf"), -0.1), one)
    assert options.rope_freq_base == 1e-07


def test_what_was_not_given_is_no_flag() -> None:
    assert loading_flags(load_settings(BenchSettings, "bench", ["--model", "b.gguf", "--log-level", "error"])) == []


def test_options_may_be_left_to_the_caller() -> None:
    settings = load_settings(BenchSettings, "bench", ["--n-ctx", "64", "--n-slots", "3", "--n-batch", "48"])
    assert loading_flags(settings, besides=("n_ctx", "n_slots")) == ["--n-batch", "48"]


def test_the_file_of_options_is_the_same_in_both_processes(tmp_path: Path) -> None:
    path = tmp_path / "options.toml"
    path.write_text('lora = ["/a/one.gguf=0.5"]\nmax_queue = 3\n', encoding="utf-8")
    settings = load_settings(BenchSettings, "bench", ["--config", str(path)])
    flags = loading_flags(settings)
    assert flags == ["--config", str(path), "--lora", "/a/one.gguf=0.5"]
    assert model_of([*flags, "--model", "a.gguf"])[1] == settings.model_options()


def test_the_last_of_two_flags_counts() -> None:
    assert model_of(("--model", "a.gguf", "--n-ctx", "64", "--n-ctx", "32"))[1].n_ctx == 32


def test_a_flag_of_another_command_is_refused() -> None:
    with pytest.raises(ConfigError, match="max-queue"):
        model_of(("--model", "a.gguf", "--max-queue", "3"))
