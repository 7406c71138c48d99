import os
import subprocess
import sys

import pytest

from mcp_llama.bench.resources import cpu_seconds, forget_peak, is_running, memory

BIG = 64 * 2**20


def test_memory_is_remembered_at_its_peak_until_it_is_forgotten() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells the peak")
    pid = os.getpid()
    forget_peak(pid)
    before = memory(pid)
    block = b"x" * BIG
    del block
    peak = memory(pid)
    forget_peak(pid)
    after = memory(pid)
    assert before
    assert peak
    assert after
    assert peak - before > BIG / 2
    assert peak - after > BIG / 2


def test_cpu_time_grows() -> None:
    before = cpu_seconds(os.getpid())
    sum(range(3_000_000))
    after = cpu_seconds(os.getpid())
    assert before is not None
    assert after is not None
    assert after > before


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        assert is_running(process.pid) or process.poll() is None
    assert (cpu_seconds(process.pid), memory(process.pid), is_running(process.pid)) == (None, None, False)
    forget_peak(process.pid)
