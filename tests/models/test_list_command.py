import json

import llama_cpp.llama_cpp as lib
import pytest

from mcp_llama.models.quantisation import FILE_TYPES
from tests.command import run_here
from tests.models.ggufs import write_gguf
from tests.models.machine import Machine
from tests.models.on_terminal import run_on_terminal


@pytest.fixture
def stocked(machine: Machine) -> Machine:
    write_gguf(machine.folder / "plain.gguf", {"general.architecture": "gemma3", "general.file_type": 18})
    write_gguf(machine.folder / "[red]odd\t\n-UD-Q8_0.gguf", {"general.file_type": 2})
    machine.write(machine.folder / "half-00002-of-00003.gguf")
    machine.into_ollama("registry.ollama.ai/library/qwen3:8b")
    return machine


def test_elsewhere_than_on_a_terminal_there_is_a_line_for_each_model(
    stocked: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run_here(capsys, "models", "list")
    assert (outcome.status, outcome.err) == (0, "")
    rows = [line.split("\t") for line in outcome.out.splitlines()]
    size = str((stocked.folder / "plain.gguf").stat().st_size)
    assert [row[0] for row in rows] == [
        *("SmolLM2-135M-Instruct.Q4_1", "[red]odd  -UD-Q8_0", "half", "plain", "qwen3:8b"),
    ]
    assert rows[0][1:] == [str(stocked.embedded.stat().st_size), "Q4_1", "llama", "embedded", "default"]
    assert rows[1][2:] == ["UD-Q8_0", "llama", "folder", ""]
    assert rows[2][5] == "incomplete, missing parts: 2"
    assert rows[3][1:] == [size, "Q6_K", "gemma3", "folder", ""]
    assert rows[4][2:] == ["", "llama", "ollama", ""]


def test_json_has_all_that_is_known(stocked: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(run_here(capsys, "models", "list", "--json").out)
    assert rows[3] == {
        "name": "plain",
        "size": (stocked.folder / "plain.gguf").stat().st_size,
        "quantisation": "Q6_K",
        "architecture": "gemma3",
        "store": "folder",
        "default": False,
        "missing_parts": 0,
        "path": str(stocked.folder / "plain.gguf"),
    }
    assert [(row["default"], row["missing_parts"], row["quantisation"]) for row in rows] == [
        *((True, 0, "Q4_1"), (False, 0, "UD-Q8_0"), (False, 2, None), (False, 0, "Q6_K"), (False, 0, None)),
    ]


def test_a_terminal_shows_a_table_with_a_star_at_the_default(stocked: Machine) -> None:
    (stocked.folder / "[red]odd\t\n-UD-Q8_0.gguf").unlink()
    (stocked.folder / "[red]odd.gguf").hardlink_to(stocked.folder / "plain.gguf")
    (stocked.folder / "plain.gguf").unlink()
    status, shown = run_on_terminal("models", "list")
    assert status == 0
    lines = shown.splitlines()
    assert "quantisation" in lines[0]
    assert [" ".join(line.split()) for line in lines[1:]] == [
        "* SmolLM2-135M-Instruct.Q4_1 93.8 MiB Q4_1 llama embedded",
        "[red]odd 224 bytes Q6_K gemma3 folder",
        "half (incomplete, missing parts: 2) 224 bytes llama folder",
        "qwen3:8b 224 bytes llama ollama",
    ]


def test_a_machine_without_models_is_told_how_to_get_one(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_llama.models.catalog.embedded_model", lambda: None)
    outcome = run_here(capsys, "models", "list", "--json")
    assert (outcome.status, json.loads(outcome.out)) == (0, [])
    assert outcome.err == "There are no models here. `mcp-llama models pull hf:OWNER/REPO` downloads one.\n"


def test_what_is_damaged_is_said_on_stderr_once(stocked: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    (stocked.folder / "bad.gguf").write_bytes(b"")
    outcome = run_here(capsys, "models", "list")
    assert outcome.err.count("bad.gguf is skipped: it is empty.") == len(outcome.err.splitlines()) == 1
    assert outcome.out.count("\n") == 5


def test_file_types_have_the_names_that_llama_cpp_gives_them() -> None:
    types = {value: name for name, value in vars(lib).items() if name.startswith("LLAMA_FTYPE_")}
    assert {number: types[number].removeprefix("LLAMA_FTYPE_").removeprefix("MOSTLY_") for number in FILE_TYPES} == {
        **FILE_TYPES,
        0: "ALL_F32",
    }


def test_models_alone_explains_its_actions(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["models"], ["models", "--help"]):
        outcome = run_here(capsys, *arguments)
        assert (outcome.status, outcome.err) == (0, "")
        usage, _, *actions = outcome.out.splitlines()
        assert usage == "usage: mcp-llama models ACTION [--help]"
        assert [line.split()[2] for line in actions if line] == ["list", "info", "default", "pull", "rm"]
        assert "Delete a model from the models folder" in outcome.out


@pytest.mark.parametrize(
    ("action", "hint"), [("lst", "Did you mean 'list'?"), ("x", "Known: default, info, list, pull")]
)
def test_an_unknown_action_is_refused_with_the_known_ones(
    action: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = run_here(capsys, "models", action).problem(2)
    assert line.startswith(f"mcp-llama: Unknown action of models {action!r}. {hint}")
