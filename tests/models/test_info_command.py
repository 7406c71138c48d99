import json
import struct
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mcp_llama.engine.llama import ModelOptions, UnloadedModel
from tests.command import run_here
from tests.engine.llama.gguf import copy_with_metadata
from tests.models.machine import Machine

SMALL = ("--n-ctx", "1024", "--n-slots", "3", "--n-threads", "1")
TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c | tojson }}{% endfor %}{% endfor %}<think></think>"
)


def lines(out: str) -> dict[str, str]:
    """What is said, by its label."""
    return {line[:14].strip(): line[14:] for line in out.splitlines()}


def test_the_default_model_is_told_with_what_it_needs(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_here(capsys, "models", "info", *SMALL)
    assert (outcome.status, outcome.err) == (0, "")
    said = lines(outcome.out)
    assert said.pop("fits").startswith("yes, ")
    memory = said.pop("memory")
    assert said == {
        "name": "SmolLM2-135M-Instruct.Q4_1",
        "file": str(machine.embedded),
        "architecture": "llama",
        "parameters": "134,515,008",
        "quantisation": "Q4_1",
        "size": "92.1 MiB",
        "context": "8,192 tokens at most",
        "license": "apache-2.0",
        "chat": "system messages",
    }
    assert "weights 92.1 MiB, KV cache 67.5 MiB for 3 slots of 1,024 tokens, computing " in memory


def test_json_has_the_bytes_that_llama_cpp_would_take(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.into_ollama("registry.ollama.ai/library/smol:135m", model=machine.embedded)
    told = json.loads(run_here(capsys, "models", "info", "smol:135m", *SMALL, "--json").out)
    model = UnloadedModel(machine.embedded, ModelOptions(n_ctx=1024, n_slots=3, n_threads=1))
    model.close()
    memory = told.pop("memory")
    assert 0 < memory.pop("free") < psutil.virtual_memory().total
    need = model.need
    assert memory == {
        "weights": need.weights,
        "cache": need.cache,
        "compute": need.compute,
        "total": need.total,
        "fits": True,
    }
    assert told["template"] == {"system": True, "tools": False, "parallel_calls": False, "reasoning": False}
    assert (told["n_ctx"], told["n_slots"], told["n_ctx_train"]) == (1024, 3, 8192)
    assert (told["name"], told["path"], told["size"]) == (
        *("SmolLM2-135M-Instruct.Q4_1", str(machine.embedded), model.size),
    )


def test_every_option_of_loading_counts(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    def memory(*options: str) -> dict[str, int]:
        return json.loads(run_here(capsys, "models", "info", *SMALL, *options, "--json").out)["memory"]

    usual = memory()
    assert memory("--n-slots", "6")["cache"] == 2 * usual["cache"]
    assert memory("--n-cells", "1024")["cache"] * 3 == usual["cache"]
    assert memory("--n-batch", "64")["compute"] < usual["compute"]
    assert memory("--flash-attn", "off")["compute"] != usual["compute"]


def test_what_does_not_fit_is_told_with_what_to_change(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    large = lines(run_here(capsys, "models", "info", "--n-ctx", "8192", "--n-slots", "256").out)
    assert large["fits"].startswith("no, ")
    assert large["fits"].endswith("; lower --n-ctx or --n-slots")
    free = psutil.virtual_memory()._replace(available=2**20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    outcome = run_here(capsys, "models", "info")
    assert lines(outcome.out)["fits"] == "no, 1.0 MiB of memory are free; take a smaller quantisation"


@pytest.fixture
def other(machine: Machine, tmp_path: Path) -> Callable[[str], Path]:
    """Writes a copy of the embedded model with another template, and Q4_K_M as its quantisation."""

    def write(template: str) -> Path:
        path = tmp_path / "other.gguf"
        copy_with_metadata(machine.embedded, path, {"tokenizer.chat_template": template})
        # Of two values for a key llama.cpp would not take the file.
        own, key, rest = path.read_bytes().partition(b"tokenizer.chat_template")
        own_type = b"general.file_type" + struct.pack("<I", 4)
        rest = rest.replace(key, b"tokenizer.old_template_", 1)
        path.write_bytes(own + key + rest.replace(own_type + struct.pack("<I", 3), own_type + struct.pack("<I", 15)))
        return path

    return write


@pytest.mark.parametrize(
    ("template", "chat"),
    [
        (TEMPLATE, "system messages, tools, parallel tool calls, reasoning"),
        ("{{ messages[-1].content }}", "plain turns"),
        ("{{ messages }}", "system messages"),
        ("{% for %}", "no usable template; take generate"),
    ],
)
def test_a_template_is_told_by_what_it_can_express(
    other: Callable[[str], Path], capsys: pytest.CaptureFixture[str], template: str, chat: str
) -> None:
    said = lines(run_here(capsys, "models", "info", str(other(template)), *SMALL).out)
    assert (said["chat"], said["quantisation"]) == (chat, "Q4_K_M")


def test_what_cannot_be_told_is_refused(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No model 'nothing' on this machine." in run_here(capsys, "models", "info", "nothing").problem(1)
    machine.write(machine.folder / "small.gguf")
    assert "could not be loaded" in run_here(capsys, "models", "info", "small").problem(1)
    assert "trained on 8,192 tokens" in run_here(capsys, "models", "info", "--n-ctx", "9000").problem(2)
