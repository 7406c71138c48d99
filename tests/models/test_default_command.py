import tomllib
from pathlib import Path

import pytest

from tests.command import run_here
from tests.models.machine import Machine

TEXT = """\
# my options
n_ctx = 4_096   # of one slot
{line}
# sampling of every answer
[sampling]
top_k = 3 # few
"""


@pytest.fixture
def config(machine: Machine) -> Path:
    machine.write(machine.folder / "my-Q8_0.gguf")
    machine.into_ollama("registry.ollama.ai/library/qwen3:8b")
    return machine.home / ".config" / "mcp-llama" / "config.toml"


def default_of(capsys: pytest.CaptureFixture[str]) -> str:
    outcome = run_here(capsys, "models", "default")
    assert outcome.status == 0, outcome
    listed = [line for line in run_here(capsys, "models", "list").out.splitlines() if line.endswith("\tdefault")]
    assert [line.split("\t")[0] for line in listed] == [outcome.out.strip()]
    return outcome.out.strip()


def test_the_embedded_model_is_the_default_until_another_is_set(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert default_of(capsys) == "SmolLM2-135M-Instruct.Q4_1"
    outcome = run_here(capsys, "models", "default", "QWEN3")
    assert (outcome.status, outcome.out) == (0, "")
    assert outcome.err == f"qwen3:8b is the default now, as {config} says.\n"
    assert config.read_text(encoding="utf-8") == 'model = "qwen3:8b"\n'
    assert default_of(capsys) == "qwen3:8b"
    assert run_here(capsys, "models", "default", "my").status == 0
    assert default_of(capsys) == "my-Q8_0"
    assert [path.name for path in config.parent.iterdir()] == ["config.toml"]


@pytest.mark.parametrize("line", ["", "model = 'old' # why\n"])
def test_all_else_in_the_file_stays_as_it_is(config: Path, capsys: pytest.CaptureFixture[str], line: str) -> None:
    config.parent.mkdir(parents=True)
    config.write_text(TEXT.format(line=line), encoding="utf-8")
    assert run_here(capsys, "models", "default", "my").status == 0
    text = config.read_text(encoding="utf-8")
    assert tomllib.loads(text) == {"n_ctx": 4096, "model": "my-Q8_0", "sampling": {"top_k": 3}}
    kept = [kept for kept in text.splitlines() if kept and "model" not in kept]
    assert kept == [kept for kept in TEXT.format(line="").splitlines() if kept]
    assert ("# why" in text) == bool(line)


def test_a_file_outside_of_the_stores_may_be_the_default(
    config: Path, machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = machine.write(machine.home / "far" / "far.gguf")
    monkeypatch.chdir(path.parent)
    assert run_here(capsys, "models", "default", "far.gguf").status == 0
    assert tomllib.loads(config.read_text(encoding="utf-8")) == {"model": str(path)}
    outcome = run_here(capsys, "models", "list")
    assert outcome.err == f"The default model is {path}, which is in none of the stores.\n"
    assert "default" not in outcome.out
    assert run_here(capsys, "models", "default").out == "far\n"


def test_the_file_of_the_option_config_is_the_one_that_is_changed(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.toml"
    other.write_text("n_slots = 2\n", encoding="utf-8")
    assert run_here(capsys, "models", "default", "my", "--config", str(other)).status == 0
    assert tomllib.loads(other.read_text(encoding="utf-8")) == {"n_slots": 2, "model": "my-Q8_0"}
    assert not config.exists()
    assert run_here(capsys, "models", "default", "--config", str(other)).out == "my-Q8_0\n"
    assert "\tfolder\tdefault" in run_here(capsys, "models", "list", "--config", str(other)).out


def test_a_link_to_the_file_stays_one(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("n_slots = 2\n", encoding="utf-8")
    config.parent.mkdir(parents=True)
    config.symlink_to(real)
    assert run_here(capsys, "models", "default", "my").status == 0
    assert config.is_symlink()
    assert tomllib.loads(real.read_text(encoding="utf-8")) == {"n_slots": 2, "model": "my-Q8_0"}


def test_what_cannot_be_the_default_is_refused_and_nothing_is_written(
    config: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.write(machine.folder / "half-00001-of-00002.gguf")
    assert "No model 'nothing' on this machine." in run_here(capsys, "models", "default", "nothing").problem(1)
    assert "half is not complete" in run_here(capsys, "models", "default", "half").problem(1)
    assert not config.exists()


def test_a_default_that_is_gone_is_said(config: Path, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(capsys, "models", "default", "my").status == 0
    (machine.folder / "my-Q8_0.gguf").unlink()
    outcome = run_here(capsys, "models", "list")
    assert outcome.err.startswith("The default model is set to 'my-Q8_0'. No model 'my-Q8_0' on this machine.")
    assert "default" not in outcome.out
    assert "No model 'my-Q8_0'" in run_here(capsys, "models", "default").problem(1)


def test_the_environment_has_the_last_word_and_that_is_said(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_LLAMA_MODEL", "qwen3:8b")
    outcome = run_here(capsys, "models", "default", "my")
    assert outcome.err.endswith("The environment variable MCP_LLAMA_MODEL is set, and has the last word.\n")
    assert default_of(capsys) == "qwen3:8b"


def test_a_file_that_is_not_toml_is_left_as_it_is(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.parent.mkdir(parents=True)
    config.write_text("n_ctx = = 3\n", encoding="utf-8")
    assert f"{config} is not valid TOML" in run_here(capsys, "models", "default", "my").problem(2)
    assert config.read_text(encoding="utf-8") == "n_ctx = = 3\n"
