"""The bounds that an engine keeps."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """`max_queue` counts requests, `unread_limit` tokens of one reader; times are in seconds.

    `step_target` is how long the part of a prompt in a step may keep the others waiting, about.
    """

    max_queue: int = 64
    max_queue_tokens: int = 262_144
    unread_limit: int = 256
    stall_timeout: float = 30.0
    step_target: float = 0.1
