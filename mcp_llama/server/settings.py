"""How the servers behave towards their clients."""

from dataclasses import dataclass
from typing import Literal

ProgressStyle = Literal["text", "status"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Defaults and clocks. Times in seconds, except `progress_interval_ms`; `ping_s` 0 means never."""

    max_tokens: int = 512
    max_time_s: float = 55.0
    heartbeat_s: float = 5.0
    ping_s: float = 15.0
    stall_timeout: float = 30.0
    progress_style: ProgressStyle = "text"
    progress_interval_ms: int = 0
