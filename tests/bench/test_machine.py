import hashlib
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from mcp_llama.bench.machine import cpu_name, linux_cpu, this_machine, this_subject
from mcp_llama.engine.llama import system_info

X86 = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 143\nmodel name\t: Intel(R)  Xeon(R) @ 2.00GHz\n"
RASPBERRY = "processor\t: 0\nBogoMIPS\t: 108.00\nCPU part\t: 0xd08\n\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi 4\n"
POWER = "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 2300.000000MHz\n"
CLOUD_ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (X86, "Intel(R)  Xeon(R) @ 2.00GHz"),
        (RASPBERRY, "BCM2835"),
        (POWER, "POWER9, altivec supported"),
        (CLOUD_ARM, None),
        ("model name\t:\nModel\t: A board", "A board"),
        ("", None),
    ],
)
def test_linux_names_the_processor_differently_on_each_architecture(text: str, name: str | None) -> None:
    assert linux_cpu(text) == name


def on(monkeypatch: pytest.MonkeyPatch, system: str) -> str:
    monkeypatch.setattr("sys.platform", system)
    return cpu_name()


def test_linux_is_asked_for_the_name_and_its_spaces_are_single(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(X86)
    monkeypatch.setattr("mcp_llama.bench.machine._CPUINFO", tmp_path / "cpuinfo")
    assert on(monkeypatch, "linux") == "Intel(R) Xeon(R) @ 2.00GHz"


def test_macos_is_asked_for_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_llama.bench.machine._SYSCTL", ("echo", "Apple M2 Pro"))
    assert on(monkeypatch, "darwin") == "Apple M2 Pro"


@pytest.mark.parametrize("command", [("false",), ("no-such-program-anywhere",), ("true",)])
def test_where_the_system_does_not_tell_the_architecture_stands(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_llama.bench.machine._SYSCTL", command)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert on(monkeypatch, "darwin") == "arm64"


def test_a_system_that_answers_too_late_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, timeout: float, **__: object) -> None:
        raise subprocess.TimeoutExpired("sysctl", timeout)

    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setattr("platform.processor", lambda: "arm")
    assert on(monkeypatch, "darwin") == "arm"


def test_this_machine_is_told() -> None:
    machine = this_machine()
    assert machine.cpu == cpu_name() != ""
    assert machine.cores == (psutil.cpu_count(logical=False) or psutil.cpu_count())
    assert machine.memory == psutil.virtual_memory().total
    assert machine.python.startswith("3.")


def test_the_subject_is_the_file_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF" * 100_000)
    subject = this_subject(path, "a model", n_ctx=64, n_slots=3, n_threads=2)
    assert subject.sha256 == hashlib.sha256(b"GGUF" * 100_000).hexdigest()
    assert (subject.model, subject.description, subject.size) == ("tiny.gguf", "a model", 400_000)
    assert (subject.n_ctx, subject.n_slots, subject.n_threads) == (64, 3, 2)
    assert subject.build == " ".join(system_info().split())
    assert subject.versions == {name: version(name) for name in ("mcp-llama", "llama-cpp-python", "mcp")}


def test_all_parts_of_a_split_model_are_its_content(tmp_path: Path) -> None:
    first, second = (tmp_path / f"tiny-0000{number}-of-00002.gguf" for number in (1, 2))
    first.write_bytes(b"GGUF")
    second.write_bytes(b"more")
    subject = this_subject(first, "a model", n_ctx=64, n_slots=3, n_threads=2)
    assert (subject.sha256, subject.size) == (hashlib.sha256(b"GGUFmore").hexdigest(), 8)
