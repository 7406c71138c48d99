"""Which rows the next decode computes. Pure Python: no thread, no clock, no llama. Engine thread only."""

from collections import deque
from dataclasses import dataclass, field

from mcp_llama.engine.model import Rows
from mcp_llama.engine.prefix_cache import Place, PrefixCache
from mcp_llama.engine.sequence import Sequence


@dataclass(slots=True)
class Batch:
    """The rows of one decode and whose they are: (sequence, number of rows, row to sample or None)."""

    rows: Rows = field(default_factory=Rows)
    parts: list[tuple[Sequence, int, int | None]] = field(default_factory=list[tuple[Sequence, int, int | None]])

    def add(self, sequence: Sequence, count: int) -> None:
        """Take the next `count` pending tokens of a sequence; the last one is sampled when none are left behind it."""
        assert sequence.slot is not None
        rows, start = self.rows, sequence.num_computed_tokens
        last = start + count == len(sequence.tokens)
        rows.tokens += sequence.tokens[start : start + count]
        rows.positions += range(start, start + count)
        rows.slots += [sequence.slot.id] * count
        rows.outputs += [False] * (count - 1) + [last]
        self.parts.append((sequence, count, len(rows) - 1 if last else None))


class Scheduler:
    """Holds the waiting and the running sequences and the slots."""

    def __init__(self, n_slots: int, n_ctx: int, n_batch: int) -> None:
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.cache = PrefixCache(n_slots, n_ctx)
        self._n_batch = n_batch

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence; first come, first served."""
        self.waiting.append(sequence)

    def admit(self) -> tuple[Sequence, Place] | None:
        """Give the next waiting sequence a place, if there is one for it now."""
        if not self.waiting:
            return None
        place = self.cache.acquire(self.waiting[0].tokens)
        if place is None:
            return None
        sequence = self.waiting.popleft()
        place.slot.sequence, sequence.slot = sequence, place.slot
        self.running.append(sequence)
        return sequence, place

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out, waiting or running. Its slot keeps what was computed."""
        if sequence.slot is None:
            self.waiting.remove(sequence)
            return
        self.running.remove(sequence)
        self.cache.release(sequence.slot, sequence.tokens[: sequence.num_computed_tokens])
        sequence.slot = None

    def schedule(self) -> Batch:
        """One row for each sequence that has caught up, then the tokens of those behind: forced ones before prompts,
        oldest first.

        A suspect gets a batch of its own.
        """
        batch = Batch()
        ready = [sequence for sequence in self.running if sequence.paused_since is None]
        ready = [sequence for sequence in ready if sequence.is_suspect][:1] or ready
        for sequence in ready:
            if sequence.num_pending_tokens == 1:
                batch.add(sequence, 1)
        behind = [sequence for sequence in ready if sequence.num_pending_tokens > 1]
        for sequence in sorted(behind, key=lambda sequence: not sequence.completion_tokens):
            room = self._n_batch - len(batch.rows)
            if room > 0:
                batch.add(sequence, min(room, sequence.num_pending_tokens))
        return batch
