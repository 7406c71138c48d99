"""`doctor`: does llama.cpp run on this machine, with which model, and if not, what to do."""

import platform
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mcp_llama.engine.llama import library_folder, system_info
from mcp_llama.errors import ModelLoadError
from mcp_llama.loading_flags import loading_flags
from mcp_llama.models.catalog import Catalog
from mcp_llama.models.files import find_model
from mcp_llama.models.stored import STORE_TITLES, Store
from mcp_llama.probe import Failure, Report
from mcp_llama.settings.model import DoctorSettings

_PROBE_S = 300
_FIRST_GOOD_GCC = 13
_FLAGS = "-fno-tree-dse -fno-dse"

REBUILD = (
    "Rebuild llama.cpp with two compiler flags that keep what gcc before 13 wrongly drops:\n"
    f"  CMAKE_ARGS=\"-DCMAKE_C_FLAGS='{_FLAGS}' -DCMAKE_CXX_FLAGS='{_FLAGS}'\" "
    "pip install --force-reinstall --no-cache-dir --no-binary llama-cpp-python llama-cpp-python"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked thing: whether it is well, what was found, and what to do if it is not."""

    good: bool
    name: str
    text: str
    fix: str | None = None

    def __str__(self) -> str:
        lines = [f"{'ok  ' if self.good else 'FAIL'}  {self.name:<10} {self.text}"]
        return "\n".join(lines + ([self.fix] if self.fix else []))


def run_doctor(settings: DoctorSettings) -> int:
    """Print the findings; returns the exit status, 1 if something is wrong."""
    good = True
    for finding in _examine(settings):
        print(finding, flush=True)
        good = good and finding.good
    return 0 if good else 1


def _examine(settings: DoctorSettings) -> Iterator[Finding]:
    yield Finding(True, "python", f"{platform.python_version()} on {platform.platform()}")
    yield Finding(True, "llama.cpp", f"llama-cpp-python {version('llama-cpp-python')}: {system_info()}")
    yield examine_compiler(compiler_of(library_folder()), cpu_flags())
    yield Finding(True, "models", _found_models())
    try:
        file = find_model(settings.model)
    except ModelLoadError as error:
        yield Finding(False, "model", str(error))
        return
    yield Finding(True, "model", f"{file.path} ({file.reason})")
    flags = loading_flags(settings)
    yield probe([sys.executable, "-m", "mcp_llama.probe", "--model", str(file.path), *flags])


def _found_models() -> str:
    """How many models there are, and where."""
    counts: Counter[Store] = Counter(model.store for model in Catalog.scan().models())
    places = ", ".join(f"{count} in {STORE_TITLES[store]}" for store, count in counts.items())
    return f"{counts.total()} found: {places}" if counts else "none found; `mcp-llama models pull` downloads one"


def examine_compiler(compiler: str | None, flags: frozenset[str]) -> Finding:
    """What the compiler that built llama.cpp means for this processor."""
    amx = "amx_tile" in flags
    cpu = "a processor with AMX" if amx else "a processor without AMX"
    if compiler is None:
        return Finding(True, "compiler", f"unknown, on {cpu}")
    major = int(compiler.split(".")[0])
    doubt = "; needs the two extra flags, which the decode below proves" if amx and major < _FIRST_GOOD_GCC else ""
    return Finding(True, "compiler", f"gcc {compiler}, on {cpu}{doubt}")


def compiler_of(folder: Path) -> str | None:
    """The version of the gcc that built the libraries in a folder, as they record it."""
    for library in sorted(folder.glob("*ggml-cpu*")):
        found = re.search(rb"GCC: \([^)]*\) (\d+\.\d+\.\d+)", library.read_bytes())
        if found:
            return found.group(1).decode()
    return None


def cpu_flags() -> frozenset[str]:
    """The processor's features as Linux names them; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return frozenset(found.group(1).split()) if found else frozenset()


def probe(command: Sequence[str]) -> Finding:
    """Run a tiny decode in a child process, which a bad build kills."""
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_S, check=False)
    except subprocess.TimeoutExpired:
        return Finding(False, "decode", f"no result within {_PROBE_S} s. Take a smaller model.")
    if child.returncode == -signal.SIGILL:
        return Finding(False, "decode", "the first decode died of an illegal instruction.", REBUILD)
    if child.returncode != 0:
        last = (child.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return Finding(False, "decode", f"the child process ended with status {child.returncode}: {last}")
    try:
        report = TypeAdapter(Report | Failure).validate_json(child.stdout.strip().rpartition("\n")[2])
    except ValidationError:
        return Finding(False, "decode", f"the child process said something else than a result: {child.stdout!r}")
    if isinstance(report, Failure):
        return Finding(False, "decode", report.error)
    speed = f"prefill {report.prefill_tokens_per_second} tok/s, decode {report.decode_tokens_per_second} tok/s"
    return Finding(True, "decode", speed)
