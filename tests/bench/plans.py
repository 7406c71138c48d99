"""Small plans with the embedded model."""

from pathlib import Path
from typing import Any

from mcp_llama.bench.plan import Plan


def small_plan(model: Path, **fields: Any) -> Plan:
    """A plan that is over soon."""
    small: dict[str, Any] = {"options": ("--n-threads", "1"), "n_ctx": 256, "streams": (2,), "tokens": 8, "rounds": 1}
    return Plan(model=model, **{**small, **fields})
