"""Progress: what one tool call tells its client while it runs.

The contract: `progress` strictly increases and counts tokens, prompt and completion; `total` is the most it can
reach. `message` is the text since the last notification, so that all messages joined are the result's text.
"""

import time
from typing import Literal

import mcp_types
from mcp.server.mcpserver import Context

from mcp_llama.engine.types import TokenDelta
from mcp_llama.server.settings import ServerLimits

Phase = Literal["load", "queue", "prefill", "decode"]

PHASE_KEY = "mcp-llama/phase"
"""Where in a notification's `_meta` the phase is."""


class Progress:
    """Sends notifications for one call, or does nothing if the client gave no progress token."""

    def __init__(self, context: Context, limits: ServerLimits, phase: Phase) -> None:
        request = context.request_context
        self._session = request.session
        self._request_id = request.request_id
        self._token = (request.meta or {}).get("progress_token")
        self._limits = limits
        self._interval = limits.progress_interval_ms / 1000
        self._total: int | None = None
        self._phase = phase
        self._computed = 0
        self._completion = 0
        self._beats = 0
        self._sent = -1.0
        self._sent_at = float("-inf")
        self._began = time.monotonic()
        self._text = ""
        self.sending_since: float | None = None
        """When the notification that the client has not taken yet was handed over, in `time.monotonic()`."""

    async def begin(self) -> None:
        """Tell the client at once that the call is alive."""
        await self._send()

    def enter_queue(self, total: int) -> None:
        """A generation of at most `total` tokens waits for its slot."""
        self._phase, self._total = "queue", total

    async def beat(self) -> None:
        """Tell the client that the call is still alive, though no token came."""
        self._beats += 1
        await self._send()

    async def advance(self, delta: TokenDelta) -> None:
        """Report a delta; its text may be kept for the next notification if notifications are limited in rate."""
        if self._token is None:
            return
        if delta.computed_tokens > self._computed:
            self._computed = delta.computed_tokens
            self._beats = 0
        self._completion = delta.completion_tokens
        self._phase = "decode" if delta.completion_tokens else "prefill"
        self._text += delta.text
        if delta.finish is not None:
            if self._text:
                await self._send()
        elif not self._interval or time.monotonic() - self._sent_at >= self._interval:
            await self._send()

    async def _send(self) -> None:
        if self._token is None:
            return
        text, self._text = self._text, ""
        self.sending_since = self._sent_at = time.monotonic()
        notification = mcp_types.ProgressNotification(
            params=mcp_types.ProgressNotificationParams(
                progress_token=self._token,
                progress=self._next(),
                total=self._total,
                message=(text or None) if self._limits.progress_style == "text" else self._status(),
                _meta={PHASE_KEY: self._phase},
            ),
        )
        await self._session.send_notification(notification, self._request_id)
        self.sending_since = None

    def _next(self) -> float:
        """Tokens so far; between two tokens, heartbeats come ever closer to the next whole number."""
        progress = self._computed + self._beats / (self._beats + 1)
        while progress <= self._sent:
            self._beats += 1
            progress = int(self._sent) + self._beats / (self._beats + 1)
        self._sent = progress
        return progress

    def _status(self) -> str:
        if self._phase != "decode":
            return f"{self._phase} {self._computed}/{self._total or '?'}"
        rate = self._completion / max(time.monotonic() - self._began, 1e-9)
        return f"{self._completion} tokens, {rate:.1f} tok/s"
