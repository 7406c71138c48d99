"""TokenLoop: schedule, decode, sample, deliver. Engine thread only, except `in_prefill`."""

import logging
import time

from mcp_llama.api import FinishReason
from mcp_llama.engine.completion import Completion
from mcp_llama.engine.contents import EMPTY, Contents
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.metrics import EngineMetrics
from mcp_llama.engine.model import DecodeAbortedError, DecodeError, Model, Sampler
from mcp_llama.engine.outbox import Outbox
from mcp_llama.engine.pace import Pace
from mcp_llama.engine.prefix_cache import Place
from mcp_llama.engine.queue import QueueBounds
from mcp_llama.engine.scheduler import Batch, Scheduler
from mcp_llama.engine.sequence import Sequence
from mcp_llama.engine.types import TokenRequest
from mcp_llama.errors import EngineError, RequestError

logger = logging.getLogger(__name__)

_ABORT_WORTHY_ROWS = 32
"""A decode with fewer rows of a sequence is over sooner than its neighbours would be done again."""


class TokenLoop:
    """The sequences of one model, and the step that moves them all on by a token or a piece of prompt.

    `in_prefill` names the sequences with many rows in the decode that is running; any thread may read it.
    """

    def __init__(
        self, model: Model, limits: EngineLimits, queue: QueueBounds, metrics: EngineMetrics, contents: Contents = EMPTY
    ) -> None:
        self.in_prefill: frozenset[Sequence] = frozenset()
        self._model = model
        self._limits = limits
        self._queue = queue
        self._metrics = metrics
        self._contents = contents
        self._cache = contents.cache(model)
        self._scheduler = Scheduler(self._cache, model.n_batch)
        self._pace = Pace(limits.step_target)
        self._completion = Completion(model)
        self._outbox = Outbox()
        metrics.watch(lambda: len(self._scheduler.running), lambda: len(self._scheduler.waiting))

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence."""
        self._scheduler.add(sequence)

    def abort(self, sequence: Sequence) -> None:
        """End a sequence, whatever state it is in; nothing happens if it has ended."""
        if sequence in self._scheduler.running or sequence in self._scheduler.waiting:
            self._metrics.cancelled()
            self._finish(sequence, "abort")

    def abort_all(self, failure: str | None = None) -> None:
        """End every sequence with what it has so far, or with an EngineError that says `failure`."""
        for sequence in self._sequences():
            self._finish(sequence, "abort", error=EngineError(failure) if failure else None)
        self._deliver()

    def keep(self) -> None:
        """Write what free slots hold to where it is kept."""
        self._contents.keep(self._cache)

    def step(self) -> bool:
        """Move on; returns whether there was anything to compute."""
        self._expire(time.monotonic())
        self._admit()
        # Whoever has ended need not wait for the decode of the others.
        self._deliver()
        batch = self._schedule()
        if batch.parts:
            self._compute(batch)
        self._deliver()
        return bool(batch.parts)

    def idle_timeout(self) -> float | None:
        """Seconds until a step has something to end by the clock, None when nothing will."""
        times = [sequence.request.deadline for sequence in self._sequences()]
        times += [self._stall_deadline(sequence) for sequence in self._sequences()]
        known = [moment for moment in times if moment is not None]
        return max(0.0, min(known) - time.monotonic()) if known else None

    def _sequences(self) -> list[Sequence]:
        return [*self._scheduler.running, *self._scheduler.waiting]

    def _expire(self, now: float) -> None:
        """End what is past its time and what nobody reads, resume what has been read."""
        for sequence in self._sequences():
            deadline, stall_deadline = sequence.request.deadline, self._stall_deadline(sequence)
            if deadline is not None and now >= deadline:
                self._finish(sequence, "time")
            elif stall_deadline is not None and now >= stall_deadline:
                self._metrics.stalled()
                self._finish(sequence, "abort")
            elif sequence.paused_since is not None and not self._is_unread(sequence):
                sequence.paused_since = None

    def _stall_deadline(self, sequence: Sequence) -> float | None:
        since = sequence.generation.unread_since
        if since is None and sequence.paused_since is not None and self._is_unread(sequence):
            # What is unread is still on its way to the mailbox.
            since = sequence.paused_since
        return None if since is None else since + self._limits.stall_timeout

    def _is_unread(self, sequence: Sequence) -> bool:
        if not sequence.request.streamed:
            return False
        return sequence.completion_tokens - sequence.generation.taken_tokens >= self._limits.unread_limit

    def _admit(self) -> None:
        while (admitted := self._scheduler.admit()) is not None:
            sequence, place = admitted
            if sequence.sampler is None:
                self._begin(sequence, place)

    def _begin(self, sequence: Sequence, place: Place) -> None:
        self._queue.admitted(len(sequence.request.prompt))
        sequence.admitted = time.monotonic()
        sequence.cached_tokens, sequence.uncut_tokens = sequence.num_computed_tokens, place.uncut
        self._metrics.admitted(sequence.admitted - sequence.request.arrival, sequence.cached_tokens)
        self._outbox.put(sequence)
        try:
            sequence.sampler = self._new_sampler(sequence.request)
        except RequestError as error:
            self._finish(sequence, "abort", error=error)

    def _schedule(self) -> Batch:
        ready = [sequence for sequence in self._scheduler.running if sequence.paused_since is None]
        caught_up = sum(sequence.num_pending_tokens == 1 for sequence in ready)
        before = self._scheduler.preemptions
        batch = self._scheduler.schedule(self._pace.prompt_rows(caught_up, len(ready) - caught_up))
        self._metrics.preempted(self._scheduler.preemptions - before)
        return batch

    def _new_sampler(self, request: TokenRequest) -> Sampler:
        return self._model.sampler(request.sampling, request.prompt, request.constraint)

    def _compute(self, batch: Batch) -> None:
        """Decode a batch and sample its output rows."""
        self.in_prefill = frozenset(s for s, count, _ in batch.parts if count >= _ABORT_WORTHY_ROWS)
        began, began_cpu = time.monotonic(), time.thread_time()
        try:
            self._model.decode(batch.rows)
        except DecodeAbortedError:
            self._roll_back(batch)
            return
        except DecodeError as error:
            self._suspect(batch)
            self._roll_back(batch)
            self._blame(batch, error)
            return
        finally:
            self.in_prefill = frozenset()
        self._pace.note(len(batch.rows), sum(c for _, c, _ in batch.parts if c > 1), time.monotonic() - began)
        self._advance(batch)
        chosen = [(s, row, self._completion.choose(s, row)) for s, _, row in batch.parts if row is not None]
        self._metrics.llama_cpu(time.thread_time() - began_cpu)
        for sequence, row, token in chosen:
            if isinstance(token, RequestError):
                self._finish(sequence, "abort", error=token)
            else:
                self._take(sequence, row, token)

    def _advance(self, batch: Batch) -> None:
        """Count what was computed."""
        prompt_rows = sum(count for sequence, count, _ in batch.parts if sequence.first_token is None)
        self._metrics.decoded(len(batch.rows), prompt_rows, len(batch.parts))
        for sequence, count, row in batch.parts:
            self._cache.advance(sequence, count)
            if not sequence.is_suspect:
                sequence.suspect_tokens = 0
            if row is None:
                self._outbox.put(sequence)

    def _suspect(self, batch: Batch) -> None:
        """Let each sequence of a failed batch show alone whether the fault is its own."""
        for sequence, count, _ in batch.parts:
            sequence.suspect_tokens = sequence.num_computed_tokens + count

    def _blame(self, batch: Batch, error: DecodeError) -> None:
        """End the sequence of a batch that failed, if it was the only one."""
        if len(batch.parts) == 1:
            logger.error("A request could not be computed: %s", error)
            failure = EngineError(f"llama.cpp could not compute this request: {error}")
            self._finish(batch.parts[0][0], "abort", error=failure)

    def _roll_back(self, batch: Batch) -> None:
        """Forget what a failed decode may have left in the cache."""
        for sequence, _, _ in batch.parts:
            self._cache.roll_back(sequence)
            sequence.cached_tokens = min(sequence.cached_tokens, sequence.num_computed_tokens)

    def _take(self, sequence: Sequence, row: int, token: int) -> None:
        """Go on with a token that was chosen."""
        self._note_time(sequence)
        if self._model.is_eog(token):
            self._finish(sequence, "stop")
            return
        try:
            text = self._completion.append(sequence, token, row)
        except RequestError as error:
            self._finish(sequence, "abort", error=error)
            return
        self._conclude(sequence, text)

    def _conclude(self, sequence: Sequence, text: str) -> None:
        """Deliver new text, and see whether it is the last."""
        constraint = sequence.request.constraint
        if sequence.detokenizer.matched is not None or (constraint is not None and constraint.is_complete):
            self._finish(sequence, "stop", text)
        elif sequence.is_full:
            self._finish(sequence, "length", text)
        else:
            self._outbox.put(sequence, text)
            if self._is_unread(sequence):
                sequence.paused_since = time.monotonic()
                self._metrics.paused()

    def _note_time(self, sequence: Sequence) -> None:
        now = time.monotonic()
        if sequence.last_token is None:
            sequence.first_token = now
            self._metrics.first_token(now - sequence.request.arrival)
        else:
            self._metrics.next_token(now - sequence.last_token)
        sequence.last_token = now

    def _finish(self, sequence: Sequence, reason: FinishReason, text: str = "", error: Exception | None = None) -> None:
        finish = sequence.finish(reason, error)
        self._outbox.put(sequence, text + sequence.detokenizer.flush(), finish)
        if sequence.admitted is None:
            self._queue.admitted(len(sequence.request.prompt))
        self._queue.leave(finish.finished - sequence.request.arrival)
        self._scheduler.remove(sequence)
        if sequence.sampler is not None:
            sequence.sampler.close()
            sequence.sampler = None
        if sequence.request.constraint is not None:
            sequence.request.constraint.close()
        self._metrics.finished(sequence, finish)
        _log(sequence, reason, finish.finished)

    def _deliver(self) -> None:
        for generation in self._outbox.send():
            self.abort(generation.sequence)


def _log(sequence: Sequence, reason: FinishReason, finished: float) -> None:
    arrival, first = sequence.request.arrival, sequence.first_token
    logger.info(
        "finish=%s prompt=%d cached=%d completion=%d ttft=%s total=%.2fs",
        reason,
        len(sequence.request.prompt),
        sequence.cached_tokens,
        sequence.completion_tokens,
        "-" if first is None else f"{first - arrival:.3f}s",
        finished - arrival,
    )
