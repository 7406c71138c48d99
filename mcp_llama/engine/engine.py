"""Engine: the thread that owns the model and runs the token loop."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mcp_llama.api import FinishReason
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.model import DecodeAbortedError, DecodeError, Model
from mcp_llama.engine.queue import QueueBounds
from mcp_llama.engine.scheduler import Batch, Scheduler
from mcp_llama.engine.sequence import Sequence
from mcp_llama.engine.types import TokenDelta, TokenRequest
from mcp_llama.errors import BusyError, ContextLengthError, EngineError, RequestError

logger = logging.getLogger(__name__)

_ABORT_WORTHY_ROWS = 32
"""A decode with fewer rows of a sequence is over sooner than its neighbours would be done again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """Bounds of the engine. `unread_limit` in tokens per reader, `stall_timeout` in seconds."""

    max_queue: int = 64
    max_queue_tokens: int = 262_144
    unread_limit: int = 256
    stall_timeout: float = 30.0


Deliveries = list[tuple[Generation, TokenDelta]]


class Engine:
    """Runs every request of one model, many at a time.

    The event loop calls the methods without underscore; they only leave notes in the inbox. Everything that starts
    with an underscore runs on the engine thread, which alone touches scheduler, sequences, slots and model.
    """

    def __init__(self, model: Model, limits: EngineLimits | None = None) -> None:
        self.n_ctx = model.n_ctx
        self.n_slots = model.n_slots
        self.limits = limits or EngineLimits()
        self._model = model
        self._scheduler = Scheduler(model.n_slots, model.n_batch)
        self._queue = QueueBounds(model.n_slots, self.limits.max_queue, self.limits.max_queue_tokens)
        self._inbox: deque[tuple[Callable[[Sequence], None], Sequence]] = deque()
        self._wakeup = threading.Event()
        self._in_prefill: frozenset[Sequence] = frozenset()
        self._stopping = False
        self._closing = False
        self._broken: EngineError | None = None
        self._deliveries: Deliveries = []
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def generate(self, request: TokenRequest) -> Generation:
        """A handle for the request; entering it starts the work.

        Raises:
            RequestError: the prompt is empty or `max_tokens` is not positive.
            ContextLengthError: prompt and completion do not fit one sequence.
        """
        if not request.prompt:
            raise RequestError("The prompt is empty. Send at least one token.")
        if request.max_tokens < 1:
            raise RequestError(f"max_tokens is {request.max_tokens}, but it must be at least 1.")
        if len(request.prompt) + request.max_tokens > self.n_ctx:
            raise ContextLengthError(len(request.prompt), request.max_tokens, self.n_ctx)
        return Generation(self, request)

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence.

        Raises:
            BusyError: the queue is full or the engine is stopping.
            EngineError: the engine broke down earlier.
        """
        if self._broken is not None:
            raise self._broken
        if self._stopping:
            raise BusyError("the server is stopping", retry_after_s=5)
        self._queue.enter(len(sequence.request.prompt))
        self._inbox.append((self._scheduler.add, sequence))
        self.wake()
        # The thread may have broken down, and read its inbox for the last time, since the first look.
        if self._broken is not None:
            raise self._broken

    def abort(self, sequence: Sequence) -> None:
        """End a sequence, whatever state it is in; nothing happens if it has ended."""
        self._inbox.append((self._abort, sequence))
        if sequence in self._in_prefill:
            self._model.abort()
        self.wake()

    def wake(self) -> None:
        """Make the engine look at its inbox and at the paused sequences."""
        self._wakeup.set()

    def stop(self) -> None:
        """Refuse new requests and end all others with what they have so far."""
        self._stopping = True
        self._model.abort()
        self.wake()

    def close(self) -> None:
        """Stop, wait for the thread to end and free the model."""
        self._closing = True
        self.stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._closing:
                self._step()
        except Exception as error:
            # The thread is every caller's only source of an answer: a defect must end their calls, not hang them.
            logger.exception("The engine thread failed")
            self._broken = EngineError("The engine failed. Its log has the details; restart the server.")
            self._broken.__cause__ = error
        finally:
            self._end_all()
            self._model.close()

    def _step(self) -> None:
        # Both are cleared before the inbox is read: a note that comes later sets them again.
        self._wakeup.clear()
        self._model.clear_abort()
        self._read_inbox()
        if self._stopping:
            self._end_all()
        self._expire(time.monotonic())
        self._admit()
        batch = self._scheduler.schedule()
        if batch.parts:
            self._compute(batch)
        self._deliver()
        if not batch.parts and not self._closing:
            self._wakeup.wait(self._next_timeout(time.monotonic()))

    def _read_inbox(self) -> None:
        while self._inbox:
            act, sequence = self._inbox.popleft()
            act(sequence)

    def _abort(self, sequence: Sequence) -> None:
        if sequence in self._scheduler.running or sequence in self._scheduler.waiting:
            self._finish(sequence, "abort")

    def _end_all(self) -> None:
        self._read_inbox()
        for sequence in [*self._scheduler.running, *self._scheduler.waiting]:
            self._finish(sequence, "abort", error=self._broken)
        self._deliver()

    def _expire(self, now: float) -> None:
        """End what is past its time, resume what has been read, end what nobody reads."""
        for sequence in [*self._scheduler.running, *self._scheduler.waiting]:
            deadline = sequence.request.deadline
            if deadline is not None and now >= deadline:
                self._finish(sequence, "time")
            elif sequence.paused_since is not None:
                if not self._is_unread(sequence):
                    sequence.paused_since = None
                elif now - sequence.paused_since >= self.limits.stall_timeout:
                    self._finish(sequence, "abort")

    def _next_timeout(self, now: float) -> float | None:
        """Seconds until `_expire` has something to do, None when nothing will expire."""
        times = [s.request.deadline for s in [*self._scheduler.running, *self._scheduler.waiting]]
        times += [s.paused_since + self.limits.stall_timeout for s in self._scheduler.running if s.paused_since]
        pending = [t for t in times if t is not None]
        return max(0.0, min(pending) - now) if pending else None

    def _is_unread(self, sequence: Sequence) -> bool:
        return sequence.completion_tokens - sequence.generation.taken_tokens >= self.limits.unread_limit

    def _admit(self) -> None:
        while (admitted := self._scheduler.admit()) is not None:
            sequence, shared = admitted
            assert sequence.slot is not None
            self._queue.admitted(len(sequence.request.prompt))
            sequence.admitted = time.monotonic()
            sequence.num_computed_tokens = self._model.truncate(sequence.slot.id, shared)
            sequence.cached_tokens = sequence.num_computed_tokens
            try:
                sequence.sampler = self._model.sampler(sequence.request.sampling, sequence.request.prompt)
            except RequestError as error:
                self._finish(sequence, "abort", error=error)

    def _compute(self, batch: Batch) -> None:
        """Decode a batch and sample its output rows."""
        self._in_prefill = frozenset(s for s, count, _ in batch.parts if count >= _ABORT_WORTHY_ROWS)
        try:
            self._model.decode(batch.rows)
        except DecodeAbortedError:
            self._roll_back(batch)
            return
        except DecodeError as error:
            self._roll_back(batch)
            self._isolate(batch, error)
            return
        finally:
            self._in_prefill = frozenset()
        for sequence, count, row in batch.parts:
            sequence.num_computed_tokens += count
            if row is None:
                self._deliveries.append((sequence.generation, sequence.delta()))
            else:
                self._sample(sequence, row)

    def _roll_back(self, batch: Batch) -> None:
        """Forget what a failed decode may have left in the cache."""
        for sequence, _, _ in batch.parts:
            assert sequence.slot is not None
            sequence.num_computed_tokens = self._model.truncate(sequence.slot.id, sequence.num_computed_tokens)

    def _isolate(self, batch: Batch, error: DecodeError) -> None:
        """Try the sequences of a failed batch one by one, so that only the one at fault ends."""
        if len(batch.parts) == 1:
            sequence = batch.parts[0][0]
            logger.error("llama_decode failed: %s", error)
            self._finish(sequence, "abort", error=EngineError(f"llama.cpp could not compute this request: {error}"))
            return
        for sequence, count, _ in batch.parts:
            alone = Batch()
            alone.add(sequence, count)
            self._compute(alone)

    def _sample(self, sequence: Sequence, row: int) -> None:
        assert sequence.sampler is not None
        token = sequence.sampler.sample(row)
        if sequence.first_token is None:
            sequence.first_token = time.monotonic()
        if self._model.is_eog(token):
            self._finish(sequence, "stop")
            return
        sequence.tokens.append(token)
        text = sequence.detokenizer.push(self._model.token_bytes(token))
        if sequence.detokenizer.matched is not None:
            self._finish(sequence, "stop", text)
        elif sequence.completion_tokens >= sequence.request.max_tokens:
            self._finish(sequence, "length", text)
        else:
            self._deliveries.append((sequence.generation, sequence.delta(text)))
            if self._is_unread(sequence):
                sequence.paused_since = time.monotonic()

    def _finish(self, sequence: Sequence, reason: FinishReason, text: str = "", error: Exception | None = None) -> None:
        finish = sequence.finish(reason, error)
        delta = sequence.delta(text + sequence.detokenizer.flush(), finish)
        if sequence.slot is None:
            self._queue.admitted(len(sequence.request.prompt))
        self._queue.leave(finish.finished - sequence.request.arrival)
        self._scheduler.remove(sequence)
        if sequence.sampler is not None:
            sequence.sampler.close()
            sequence.sampler = None
        self._deliveries.append((sequence.generation, delta))
        _log(sequence, reason, finish.finished)

    def _deliver(self) -> None:
        """Hand all deltas of a step over, with one call for each event loop."""
        if not self._deliveries:
            return
        by_loop: dict[asyncio.AbstractEventLoop, Deliveries] = {}
        for delivery in self._deliveries:
            by_loop.setdefault(delivery[0].loop, []).append(delivery)
        self._deliveries = []
        for loop, deliveries in by_loop.items():
            try:
                loop.call_soon_threadsafe(_put, deliveries)
            except RuntimeError:
                # The loop is closed, so its readers are gone.
                self._inbox.extend((self._abort, g.sequence) for g, delta in deliveries if delta.finish is None)


def _put(deliveries: Deliveries) -> None:
    for generation, delta in deliveries:
        generation.put(delta)


def _log(sequence: Sequence, reason: FinishReason, finished: float) -> None:
    request, first = sequence.request, sequence.first_token
    total = finished - request.arrival
    rate = sequence.completion_tokens / max(total, 1e-9)
    logger.info(
        "finish=%s prompt=%d cached=%d completion=%d ttft=%s total=%.2fs %.1f tok/s",
        reason,
        len(request.prompt),
        sequence.cached_tokens,
        sequence.completion_tokens,
        "-" if first is None else f"{first - request.arrival:.3f}s",
        total,
        rate,
    )
