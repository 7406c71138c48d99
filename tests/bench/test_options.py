from pathlib import Path

from mcp_llama.bench.options import model_of
from mcp_llama.engine.llama import ModelOptions


def test_flags_become_options_of_the_model() -> None:
    flags = ("--n-threads", "2", "--n-gpu-layers", "-1", "--flash-attn", "off", "--pooling", "cls")
    path, options = model_of((*flags, "--model", "a.gguf", "--n-ctx", "64", "--n-slots", "3"))
    assert path == Path("a.gguf")
    assert options == ModelOptions(n_ctx=64, n_slots=3, n_threads=2, n_gpu_layers=-1, flash_attn="off", pooling="cls")


def test_flags_of_servers_are_of_no_concern() -> None:
    _, options = model_of(("--model", "a.gguf", "--max-queue", "3", "--log-level", "error"))
    assert options == ModelOptions()


def test_the_last_of_two_flags_counts() -> None:
    assert model_of(("--model", "a.gguf", "--n-ctx", "64", "--n-ctx", "32"))[1].n_ctx == 32
