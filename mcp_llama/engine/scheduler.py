"""Which rows the next decode computes. Pure Python: no thread, no clock, no llama. Engine thread only."""

from collections import deque
from dataclasses import dataclass, field

from mcp_llama.engine.lanes import closing_moves
from mcp_llama.engine.model import Rows
from mcp_llama.engine.prefix_cache import Place, PrefixCache
from mcp_llama.engine.sequence import Sequence

_HEADROOM = 32
"""Cells that each sequence must have free at an admission, lest the newest be preempted at once."""

_MOVE_WORTH = 256
"""To move so many tokens to another lane takes less than to compute a row apart from its neighbours."""


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
    """Holds the waiting and the running sequences, each in the order of their arrival."""

    def __init__(self, cache: PrefixCache, n_batch: int) -> None:
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.cache = cache
        self.preemptions = 0
        self._n_batch = n_batch
        self._arrivals = 0

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence; first come, first served."""
        self._arrivals += 1
        sequence.order = self._arrivals
        self.waiting.append(sequence)

    def admit(self) -> tuple[Sequence, Place] | None:
        """Give a waiting sequence a place, if there is one for it now.

        One that waits for its reader lets those behind it go first. So does one that waits for another to compute
        their common prefix, but a slot is kept for it.
        """
        slots = len(self.cache.free_slots)
        for sequence in self.waiting:
            if sequence.paused_since is not None:
                continue
            if slots <= 0:
                return None
            place = self.cache.find(sequence.tokens)
            if place is None:
                slots -= 1
            elif not self._has_room(sequence, place):
                return None
            else:
                return self._start(sequence, place)
        return None

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out, waiting or running. Its slot keeps what was computed."""
        if sequence.slot is None:
            self.waiting.remove(sequence)
            return
        self.running.remove(sequence)
        self.cache.release(sequence)

    def schedule(self, prompt_rows: int) -> Batch:
        """One row for each sequence that has caught up, then the tokens of those behind: forced ones before prompts.

        Beside sequences that have caught up, those behind get at most `prompt_rows` rows. A suspect gets a batch of
        its own. Where cells run out, cached prefixes are dropped, then the newest sequences go back to wait.
        """
        ready = [sequence for sequence in self.running if sequence.paused_since is None]
        if self.cache.has_lanes:
            self._close_up(ready)
        ready = [sequence for sequence in ready if sequence.is_suspect][:1] or ready
        counts: dict[Sequence, int] = {}
        for sequence in ready:
            if sequence.num_pending_tokens == 1:
                self._claim(sequence, 1, counts)
        room = self._n_batch - len(counts)
        room = min(room, prompt_rows) if counts else room
        for sequence, count in self._shares([s for s in ready if s.num_pending_tokens > 1], room).items():
            self._claim(sequence, count, counts)
        batch = Batch()
        # llama.cpp computes rows of neighbouring lanes together only where they come in the order of the lanes.
        for sequence in sorted(counts, key=lambda sequence: sequence.slot.id if sequence.slot else 0):
            batch.add(sequence, counts[sequence])
        return batch

    def _close_up(self, ready: list[Sequence]) -> None:
        """Move a sequence where free lanes part those that run, if it will run for long enough."""
        owners = {s.slot.id: s for s in ready if s.slot is not None}
        slots, free = self.cache.slots, {slot.id for slot in self.cache.free_slots}
        for source, target in closing_moves(owners, free):
            owner = owners[source]
            left = owner.request.max_tokens - owner.completion_tokens
            if owner.num_computed_tokens + len(slots[target].tokens) <= _MOVE_WORTH * left:
                self.cache.move(owner, slots[target])
                return

    def _shares(self, behind: list[Sequence], room: int) -> dict[Sequence, int]:
        """Who gets how many rows. What is no prompt any more comes first. Then the oldest prompt gets half, so that it
        never starves, and those with the least left get the rest, so that short ones do not wait for long ones.
        """
        prompts = [s for s in behind if s.num_computed_tokens < len(s.request.prompt)]
        wishes = [(sequence, sequence.num_pending_tokens) for sequence in behind if sequence not in prompts]
        left = max(0, room - sum(count for _, count in wishes))
        wishes += [(sequence, (left + 1) // 2) for sequence in prompts[:1]]
        wishes += [(s, s.num_pending_tokens) for s in sorted(prompts, key=lambda s: s.num_pending_tokens)]
        shares: dict[Sequence, int] = {}
        for sequence, most in wishes:
            given = min(most, room, sequence.num_pending_tokens - shares.get(sequence, 0))
            if given > 0:
                shares[sequence] = shares.get(sequence, 0) + given
                room -= given
        return shares

    def _claim(self, sequence: Sequence, count: int, counts: dict[Sequence, int]) -> None:
        """Give a sequence rows, and cells to hold them, at the cost of cached prefixes and of newer sequences."""
        if sequence.slot is None:
            # An older one needed its cells in this very step.
            return
        claimed = sum(counts.values())
        while (free := self.cache.make_room(claimed + count) - claimed) < count and self.running[-1] is not sequence:
            newest = self.running[-1]
            claimed -= counts.pop(newest, 0)
            self._preempt(newest)
        if free > 0:
            counts[sequence] = min(count, free)

    def _preempt(self, sequence: Sequence) -> None:
        self.preemptions += 1
        self.running.remove(sequence)
        self.cache.release(sequence)
        sequence.num_computed_tokens = 0
        behind = next((i for i, other in enumerate(self.waiting) if other.order > sequence.order), len(self.waiting))
        self.waiting.insert(behind, sequence)

    def _start(self, sequence: Sequence, place: Place) -> tuple[Sequence, Place]:
        self.cache.occupy(place, sequence)
        self.waiting.remove(sequence)
        self.running.append(sequence)
        self.running.sort(key=lambda running: running.order)
        return sequence, place

    def _has_room(self, sequence: Sequence, place: Place) -> bool:
        """Whether its tokens, those that running prompts still need, and some tokens more of each fit."""
        promised = sum(running.num_pending_tokens + _headroom(running) for running in self.running)
        needed = len(sequence.tokens) - place.shared + _headroom(sequence)
        return self.cache.room_beside(place) >= promised + needed


def _headroom(sequence: Sequence) -> int:
    return min(_HEADROOM, sequence.request.max_tokens - sequence.completion_tokens)
