"""Machine and subject: what a benchmark ran on, and what it ran."""

import contextlib
import hashlib
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psutil

from mcp_llama.bench.record import Machine, Subject
from mcp_llama.engine.llama import system_info
from mcp_llama.gguf_parts import files_of, size_of

_CPUINFO = Path("/proc/cpuinfo")
_CPUINFO_NAMES = ("model name", "Hardware", "Model", "cpu model", "cpu")
_DISTRIBUTIONS = ("mcp-llama", "llama-cpp-python", "mcp")
_SYSCTL = ("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")
_WINDOWS_KEY = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
_PATIENCE_S = 5


def this_machine() -> Machine:
    """The machine that this runs on."""
    return Machine(
        cpu=cpu_name(),
        cores=psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        memory=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
    )


def cpu_name() -> str:
    """What the maker calls the processor; its architecture where the system does not tell."""
    name = None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if sys.platform == "linux":
            name = linux_cpu(_CPUINFO.read_text(encoding="utf-8", errors="replace"))
        elif sys.platform == "darwin":
            name = subprocess.run(_SYSCTL, capture_output=True, text=True, timeout=_PATIENCE_S, check=True).stdout
        elif sys.platform == "win32":
            name = _windows_cpu()
    return " ".join((name or platform.processor() or platform.machine()).split())


def linux_cpu(cpuinfo: str) -> str | None:
    """The processor's name in the text of /proc/cpuinfo, under whichever key the architecture has it."""
    for key in _CPUINFO_NAMES:
        found = re.search(rf"^{key}\s*:[ \t]*(\S.*)$", cpuinfo, re.MULTILINE)
        if found:
            return found[1]
    return None


def this_subject(model: Path, description: str, n_ctx: int, n_slots: int, n_threads: int) -> Subject:
    """The model file as it is on the disk, and the build that runs it."""
    digest = hashlib.sha256()
    for part in files_of(model):
        with part.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return Subject(
        model=model.name,
        description=description,
        sha256=digest.hexdigest(),
        size=size_of(model),
        n_ctx=n_ctx,
        n_slots=n_slots,
        n_threads=n_threads,
        build=" ".join(system_info().split()),
        versions={name: version(name) for name in _DISTRIBUTIONS},
    )


if sys.platform == "win32":
    import winreg

    def _windows_cpu() -> str:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _WINDOWS_KEY) as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0])
