"""Generation: the caller's end of a running request, and the mailbox in it. Event loop only."""

import asyncio
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from mcp_llama.api import Result, Timings, TokenLogprob, Usage
from mcp_llama.engine.sequence import Sequence
from mcp_llama.engine.types import Finish, TokenDelta, TokenRequest

if TYPE_CHECKING:
    from mcp_llama.engine.engine import Engine


class Reader(Protocol):
    """Makes of a generation's deltas and result what its caller asked for. Event loop only, for one generation."""

    def read(self, delta: TokenDelta) -> TokenDelta:
        """The next delta as the caller gets it."""
        ...

    def complete(self, result: Result) -> Result:
        """The result as the caller gets it, after the last delta; its text is that of the deltas that were read."""
        ...


class Generation:
    """A request from submission to result.

    Entering submits it, leaving aborts it, iterating gives its deltas. The mailbox holds one delta: what arrives
    before the reader comes back is merged into it, so a slow reader gets fewer and longer deltas. The engine thread
    reads two fields, to pause a sequence whose reader fell behind and to end one that nobody reads: `taken_tokens`,
    and `unread_since`, in `time.monotonic()`.
    """

    def __init__(self, engine: "Engine", request: TokenRequest, reader: Reader | None = None) -> None:
        self.request = request
        self._reader = reader
        self.loop = asyncio.get_running_loop()
        self.taken_tokens = 0
        self.unread_since: float | None = None
        self._engine = engine
        self._sequence: Sequence | None = None
        self._unread: TokenDelta | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._patience: float | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._text: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._last: TokenDelta | None = None

    @property
    def sequence(self) -> Sequence:
        """What the engine runs. It holds the handle, which a caller who does not enter it must be able to drop."""
        if self._sequence is None:
            self._sequence = Sequence(self.request, self)
        return self._sequence

    @property
    def total_tokens(self) -> int:
        """The most tokens this request can take: prompt plus `max_tokens`."""
        return len(self.request.prompt) + self.request.max_tokens

    async def __aenter__(self) -> Self:
        """Submit the request.

        Raises:
            BusyError: the queue is full.
            UnavailableError: the engine is stopping.
        """
        try:
            self._engine.submit(self.sequence)
        except BaseException:
            self._engine.leave(self)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._last is None or self._last.finish is None:
            self.stop()
        self._engine.leave(self)

    def stop(self) -> None:
        """End the generation with what it has; what is left to read ends with finish_reason "abort"."""
        self._engine.abort(self.sequence)

    def put(self, delta: TokenDelta) -> None:
        """Deliver a delta."""
        if self._unread is None:
            self._unread = delta
            self.unread_since = time.monotonic()
        else:
            self._unread = self._unread.merged(delta)
        self._wake()

    async def next(self, timeout: float | None = None) -> TokenDelta | None:
        """The next delta, or None after `timeout` seconds without one.

        Raises:
            StopAsyncIteration: the last delta has been taken, and it was no failure.
            EngineError: llama.cpp failed while it ran this request.
            RequestError: the request turned out to be impossible.
        """
        if self._last is not None and self._last.finish is not None:
            raise self._last.finish.error or StopAsyncIteration
        if self._unread is None:
            await self._wait(timeout)
        return self._take()

    def __aiter__(self) -> AsyncIterator[TokenDelta]:
        return self

    async def __anext__(self) -> TokenDelta:
        while (delta := await self.next()) is None:
            pass
        return delta

    async def result(self) -> Result:
        """Take what is left to take, then give the complete result."""
        async for _ in self:
            pass
        assert self._last is not None
        assert self._last.finish is not None
        result = self._result(self._last, self._last.finish)
        return result if self._reader is None else self._reader.complete(result)

    def _take(self) -> TokenDelta | None:
        delta, self._unread = self._unread, None
        if delta is None:
            return None
        if self._reader is not None:
            delta = self._reader.read(delta)
        self._last = delta
        self._text.append(delta.text)
        self._logprobs += delta.logprobs
        self.taken_tokens = delta.completion_tokens
        self.unread_since = None
        if self.sequence.paused_since is not None:
            self._engine.wake()
        if delta.finish is not None and delta.finish.error is not None and not delta.text:
            raise delta.finish.error
        return delta

    async def _wait(self, timeout: float | None) -> None:
        self._waiter = self.loop.create_future()
        self._patience = None if timeout is None else self.loop.time() + timeout
        if self._patience is not None and (self._alarm is None or self._alarm.when() > self._patience):
            self._set_alarm(self._patience)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _ring(self) -> None:
        """Wake a reader whose patience is at an end. One alarm serves many waits, most of which are short."""
        self._alarm = None
        if self._waiter is None or self._patience is None:
            return
        if self.loop.time() >= self._patience:
            self._wake()
        else:
            self._set_alarm(self._patience)

    def _set_alarm(self, moment: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self.loop.call_at(moment, self._ring)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _result(self, last: TokenDelta, finish: Finish) -> Result:
        arrival, seed = self.request.arrival, self.request.sampling.seed
        assert seed is not None
        total_s = finish.finished - arrival
        return Result(
            text="".join(self._text),
            finish_reason=finish.reason,
            stop=finish.stop,
            seed=seed,
            usage=Usage(
                prompt_tokens=len(self.request.prompt),
                cached_tokens=last.cached_tokens,
                completion_tokens=last.completion_tokens,
                reasoning_tokens=last.reasoning_tokens,
                uncut_tokens=finish.uncut_tokens,
            ),
            timings=Timings(
                queue_s=total_s if last.admitted is None else last.admitted - arrival,
                ttft_s=None if last.first_token is None else last.first_token - arrival,
                total_s=total_s,
            ),
            logprobs=tuple(self._logprobs),
        )
