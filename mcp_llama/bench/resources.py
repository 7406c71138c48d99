"""What a process has taken: CPU time and memory."""

import re
from contextlib import suppress
from pathlib import Path

import psutil

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_RESET_PEAK = "5"


def cpu_seconds(pid: int) -> float | None:
    """CPU time of a process so far, or None if it has ended."""
    with suppress(psutil.NoSuchProcess):
        times = psutil.Process(pid).cpu_times()
        return times.user + times.system
    return None


def is_running(pid: int) -> bool:
    """Whether a process is there, and more than its exit status."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def memory(pid: int) -> int | None:
    """Resident bytes of a process at their peak since `forget_peak`, on Linux, or else now."""
    with suppress(OSError):
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
        if found:
            return int(found[1]) * 1024
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).memory_info().rss
    return None


def forget_peak(pid: int) -> None:
    """Let the peak begin anew, where the system can do that."""
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
