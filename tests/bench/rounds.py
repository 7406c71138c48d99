"""Measurements that nobody took, for tests of what is made of them."""

from typing import Any

from mcp_llama.bench.record import Machine, Measurement, Report, Spread, Subject

MACHINE = Machine(cpu="A processor", cores=2, memory=8 * 2**30, system="Linux 6.1 x86_64", python="3.11.7")
SUBJECT = Subject(
    model="tiny.gguf",
    description="llama 135M Q4_1",
    sha256="ab" * 32,
    size=94 * 2**20,
    n_ctx=4096,
    n_slots=16,
    n_threads=2,
    build="CPU : " + " | ".join(f"FEATURE{number} = 1" for number in range(20)),
    versions={"mcp-llama": "0.1.0", "mcp": "2.3.0"},
)


def spread(p50: float) -> Spread:
    return Spread(p50=p50, p95=p50 * 2, p99=p50 * 3, max=p50 * 4)


def turn(target: str = "raw", rate: float = 100.0, **fields: Any) -> Measurement:
    """One turn at so many tokens a second."""
    usual: dict[str, Any] = {
        "workload": "unique", "streams": 1, "round": 1, "tokens": 1000, "prompt_tokens": 40, "cached_tokens": 0,
        "seconds": 1000 / rate, "ttft": spread(0.05), "itl": spread(0.01),
    }  # fmt: skip
    return Measurement(target=target, **{**usual, **fields})


def report(*measurements: Measurement, failures: tuple[str, ...] = ()) -> Report:
    return Report(machine=MACHINE, subject=SUBJECT, measurements=measurements, failures=failures)
