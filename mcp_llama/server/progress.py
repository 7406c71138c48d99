"""Progress: what one tool call tells its client while it runs.

The contract: `progress` strictly increases and counts tokens, prompt and completion; `total` is the most it can
reach. `message` is the text since the last notification, so that all messages joined are the result's text.
"""

import time
from typing import Any, Literal, cast

import mcp_types
from mcp.server.mcpserver import Context

from mcp_llama.engine.types import TokenDelta
from mcp_llama.server.deltas import DeltaBuffer, delta_json
from mcp_llama.server.settings import ServerLimits

Phase = Literal["load", "queue", "prefill", "decode"]

PHASE_KEY = "mcp-llama/phase"
"""Where in a notification's `_meta` the phase is."""
LOADED_KEY = "mcp-llama/loaded"
"""Where the share of the model that is loaded is, from 0 to 1, while the call waits for it."""
DELTA_KEY = "mcp-llama/delta"
"""Where what is new of an answer is: text, reasoning and pieces of tool calls, as in a chunk of `/v1`."""
CHOICES_KEY = "mcp-llama/choices"
"""Where the same is for the choices after the first, by their number."""


class _DumpedNotification:
    """A progress notification that is JSON already, which is all that the session wants of one.

    The SDK's models would be made for each token only to be dumped.
    """

    def __init__(self, params: dict[str, Any]) -> None:
        self._dump = {"method": "notifications/progress", "params": params}

    def model_dump(self, **_: object) -> dict[str, Any]:
        """The JSON."""
        return self._dump


def _notification(params: dict[str, Any]) -> mcp_types.ServerNotification:
    known = {name: value for name, value in params.items() if value is not None}
    return cast(mcp_types.ServerNotification, _DumpedNotification(known))


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
        self._computed = [0]
        self._completion = [0]
        self._new = [DeltaBuffer()]
        self._beats = 0
        self._sent = -1.0
        self._sent_at = float("-inf")
        self._began = time.monotonic()
        self._text = ""
        self._sending = 0
        self.loaded: float | None = None
        """The share of the model that is loaded, where the call waits for that."""
        self.sending_since: float | None = None
        """When the notification that the client has not taken yet was handed over, in `time.monotonic()`."""

    @property
    def is_wanted(self) -> bool:
        """Whether the client gave a progress token."""
        return self._token is not None

    async def begin(self) -> None:
        """Tell the client at once that the call is alive."""
        await self._send()

    def enter_queue(self, total: int, choices: int = 1) -> None:
        """So many generations, of at most `total` tokens together, wait for their slots."""
        self._phase, self._total, self.loaded = "queue", total, None
        self._computed, self._completion = [0] * choices, [0] * choices
        self._new = [DeltaBuffer() for _ in range(choices)]

    async def beat(self) -> None:
        """Tell the client that the call is still alive, though no token came."""
        self._beats += 1
        await self._send()

    async def advance(self, delta: TokenDelta, choice: int = 0) -> None:
        """Report a choice's delta; it may be kept for the next notification if notifications are limited in rate."""
        if self._token is None:
            return
        if delta.computed_tokens > self._computed[choice]:
            self._computed[choice] = delta.computed_tokens
            self._beats = 0
        self._completion[choice] = delta.completion_tokens
        self._phase = "decode" if any(self._completion) else "prefill"
        self._text += delta.text if choice == 0 else ""
        self._new[choice].add(delta_json(delta))
        if delta.finish is not None:
            # An empty delta may end a choice whose last news still wait here.
            if any(self._new):
                await self._send()
        elif not self._interval or time.monotonic() - self._sent_at >= self._interval:
            await self._send()

    async def _send(self) -> None:
        if self._token is None:
            return
        text, self._text = self._text, ""
        meta: dict[str, Any] = {PHASE_KEY: self._phase}
        if self.loaded is not None:
            meta[LOADED_KEY] = self.loaded
        if new := self._new[0].take():
            meta[DELTA_KEY] = new
        if others := {str(number): new for number, buffer in enumerate(self._new[1:], 1) if (new := buffer.take())}:
            meta[CHOICES_KEY] = others
        self._sent_at = time.monotonic()
        self._sending += 1
        self.sending_since = self.sending_since or self._sent_at
        params = {
            "progressToken": self._token,
            "progress": self._next(),
            "total": self._total,
            "message": (text or None) if self._limits.progress_style == "text" else self._status(),
            "_meta": meta,
        }
        await self._session.send_notification(_notification(params), self._request_id)
        self._sending -= 1
        # Choices send at the same time; what the client has not taken is as old as the first of them.
        self.sending_since = self._sent_at if self._sending else None

    def _next(self) -> float:
        """Tokens so far; between two tokens, heartbeats come ever closer to the next whole number."""
        progress = sum(self._computed) + self._beats / (self._beats + 1)
        while progress <= self._sent:
            self._beats += 1
            progress = int(self._sent) + self._beats / (self._beats + 1)
        self._sent = progress
        return progress

    def _status(self) -> str:
        if self.loaded is not None:
            return f"load {self.loaded:.0%}"
        if self._phase != "decode":
            return f"{self._phase} {sum(self._computed)}/{self._total or '?'}"
        tokens = sum(self._completion)
        return f"{tokens} tokens, {tokens / max(time.monotonic() - self._began, 1e-9):.1f} tok/s"
