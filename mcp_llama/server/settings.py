"""How the MCP surface behaves, as the servers need it."""

from dataclasses import dataclass
from typing import Literal

ProgressStyle = Literal["text", "status"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Defaults and clocks of the tools. Times in seconds, except `progress_interval_ms`."""

    max_tokens: int = 512
    max_time_s: float = 55.0
    heartbeat_s: float = 5.0
    stall_timeout: float = 30.0
    progress_style: ProgressStyle = "text"
    progress_interval_ms: int = 0
