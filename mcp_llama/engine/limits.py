"""The bounds that an engine keeps."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """`max_queue` counts requests, `unread_limit` tokens of one reader; `stall_timeout` is in seconds."""

    max_queue: int = 64
    max_queue_tokens: int = 262_144
    unread_limit: int = 256
    stall_timeout: float = 30.0
