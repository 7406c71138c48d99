"""LlamaCpuTime: the CPU time that llama.cpp takes, as a Prometheus collector."""

import threading
from collections.abc import Iterator

import psutil
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class LlamaCpuTime(Collector):
    """Seconds that the engine thread decoded and sampled, and those of llama.cpp's own threads, unknown to Python."""

    def __init__(self) -> None:
        self.engine_s = 0.0

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The one counter."""
        known = {thread.native_id for thread in threading.enumerate()}
        native = sum(t.user_time + t.system_time for t in psutil.Process().threads() if t.id not in known)
        yield CounterMetricFamily(
            "mcp_llama_llama_cpu_seconds", "CPU time of llama.cpp, on all threads", value=self.engine_s + native
        )
