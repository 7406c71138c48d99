"""Which slot holds which tokens, and which one a new sequence gets. Engine thread only."""

from collections.abc import Sequence as Tokens
from dataclasses import dataclass, replace

from mcp_llama.engine.kv_cells import KvCells
from mcp_llama.engine.model import KvMemory
from mcp_llama.engine.sequence import Sequence, Slot

_COPY_WORTH = 16
"""To copy a prefix takes less than to compute so many tokens."""


def common_prefix(a: Tokens[int], b: Tokens[int]) -> int:
    """The length of the longest common prefix."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(frozen=True, slots=True)
class StoredPrefix:
    """Tokens whose state is kept outside the KV cache."""

    tokens: list[int]
    state: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """A slot for a new sequence, and how many of its tokens are there: in the slot itself, or in `source`.

    `uncut` is how many more of them were computed, but cannot be had without what follows them.
    """

    slot: Slot
    shared: int
    source: Slot | StoredPrefix | None = None
    uncut: int = 0


@dataclass(frozen=True, slots=True)
class _Offer:
    """Where the first tokens of a prompt are: `matched` have been computed, `shared` of them can be had."""

    source: Slot | StoredPrefix
    shared: int
    matched: int


class PrefixCache:
    """The slots and their cells. A free slot keeps its tokens until another sequence needs the slot or the cells."""

    def __init__(self, memory: KvMemory, stored: Tokens[StoredPrefix] = ()) -> None:
        self.slots = [Slot(i) for i in range(memory.n_slots)]
        self.cells = KvCells(memory.n_slots, memory.n_cells, is_shared=memory.kv_unified)
        self._memory = memory
        self._stored = list(stored)
        self._clock = 0

    @property
    def free_slots(self) -> list[Slot]:
        """Those without a sequence, the least recently used first."""
        return sorted((slot for slot in self.slots if slot.sequence is None), key=lambda slot: slot.last_used)

    @property
    def has_lanes(self) -> bool:
        """Whether slots that run should be neighbours."""
        return self._memory.has_lanes

    def find(self, prompt: list[int]) -> Place | None:
        """The place where the least of a prompt is left to compute; None if it pays to wait for it.

        That is when a running sequence is about to compute a prefix that they share. There must be a free slot.
        """
        free = self.free_slots
        offers = [self._offer(slot, slot.tokens, len(slot.tokens), prompt) for slot in free]
        shared = {slot: offer.shared for slot, offer in zip(free, offers, strict=True)}
        offers += [self._offer(slot, s.tokens, s.num_computed_tokens, prompt) for slot, s in self._running()]
        offers += [_offer_stored(stored, prompt) for stored in self._stored]
        best = max(offers, key=lambda offer: offer.shared)
        if self._promised(prompt) - best.shared >= _COPY_WORTH:
            return None
        slot = self._target(shared, best.shared)
        if best.shared - shared[slot] >= _COPY_WORTH:
            place = Place(slot, best.shared, best.source)
        else:
            place = Place(slot, shared[slot])
        return replace(place, uncut=max(offer.matched for offer in offers) - best.shared)

    def occupy(self, place: Place, sequence: Sequence) -> None:
        """Give a sequence its place; what is there of its tokens counts as computed."""
        slot, source = place.slot, place.source
        kept = self._cut(slot, place.shared if source is None else 0)
        if isinstance(source, StoredPrefix):
            kept = self._restore(slot, source)
        elif source is not None:
            kept = self._copy(source, slot, place.shared)
        slot.sequence, sequence.slot = sequence, slot
        sequence.num_computed_tokens = kept

    def release(self, sequence: Sequence) -> None:
        """Free a sequence's slot, which keeps what was computed."""
        slot = sequence.slot
        assert slot is not None
        self._clock += 1
        slot.last_used = self._clock
        slot.tokens = sequence.tokens[: sequence.num_computed_tokens]
        slot.sequence = sequence.slot = None

    def advance(self, sequence: Sequence, count: int) -> None:
        """So many tokens more of a sequence are computed."""
        assert sequence.slot is not None
        self.cells.append(sequence.slot.id, count)
        sequence.num_computed_tokens += count

    def roll_back(self, sequence: Sequence) -> None:
        """Forget what a failed decode may have left behind the computed tokens of a sequence."""
        assert sequence.slot is not None
        sequence.num_computed_tokens = self._cut(sequence.slot, sequence.num_computed_tokens)

    def make_room(self, count: int) -> int:
        """The free cells, `count` of them at least if enough cached prefixes can be dropped, the oldest first."""
        for slot in self.free_slots:
            if self.cells.free >= count:
                break
            self._cut(slot, 0)
        return self.cells.free

    def room_beside(self, place: Place) -> int:
        """The cells that are left for others if only running sequences and this place keep theirs."""
        held = [(slot.id, s.num_computed_tokens) for slot, s in self._running()]
        if place.source is None or (self._memory.kv_unified and isinstance(place.source, Slot)):
            held.append(((place.source or place.slot).id, place.shared))
            return self._memory.n_cells - self.cells.held_by(held)
        return self._memory.n_cells - self.cells.held_by(held) - place.shared

    def move(self, sequence: Sequence, target: Slot) -> None:
        """Give a running sequence a free lane instead of its own, which gets what the free one held."""
        source, length = sequence.slot, sequence.num_computed_tokens
        assert source is not None
        state = self._memory.save(target.id) if target.tokens else None
        if self._memory.copy(source.id, target.id, length) < length:
            self._cut(target, 0)
            return
        self.cells.exchange(source.id, target.id)
        source.tokens, source.last_used, target.tokens = target.tokens, target.last_used, []
        source.sequence, target.sequence, sequence.slot = None, sequence, target
        if state is None or not self._memory.restore(source.id, state):
            self._cut(source, 0)

    def load(self, slot: Slot, tokens: list[int]) -> None:
        """A free slot now holds the state of these tokens, which the memory got from elsewhere."""
        self.cells.truncate(slot.id, 0)
        self.cells.append(slot.id, len(tokens))
        self._clock += 1
        slot.tokens, slot.last_used = tokens, self._clock

    def _running(self) -> list[tuple[Slot, Sequence]]:
        return [(slot, slot.sequence) for slot in self.slots if slot.sequence is not None]

    def _offer(self, slot: Slot, tokens: list[int], held: int, prompt: list[int]) -> _Offer:
        # The last prompt token is always computed: its logits choose the first token.
        matched = min(common_prefix(tokens, prompt), held, len(prompt) - 1)
        return _Offer(slot, matched if self._memory.can_cut(slot.id, matched) else 0, matched)

    def _promised(self, prompt: list[int]) -> int:
        """How many tokens of a prompt a running sequence will have computed soon."""
        soon = [(slot, s) for slot, s in self._running() if s.paused_since is None and s.num_pending_tokens > 1]
        able = [s for slot, s in soon if self._memory.can_cut(slot.id, max(0, s.num_computed_tokens - 1))]
        return min(max((common_prefix(s.tokens, prompt) for s in able), default=0), len(prompt) - 1)

    def _target(self, shared: dict[Slot, int], best: int) -> Slot:
        """The free slot to use: the one that shares the most, unless others share more, or it would lose what it
        has beyond that; then the least recently used one. `shared` is in the order of use.
        """
        oldest, nearest = next(iter(shared)), max(shared, key=lambda slot: shared[slot])
        if best - shared[nearest] < _COPY_WORTH and len(nearest.tokens) - shared[nearest] < _COPY_WORTH:
            return nearest
        return oldest

    def _copy(self, source: Slot, target: Slot, length: int) -> int:
        if not self._memory.kv_unified:
            self.make_room(length)
        # Room may have been made at the cost of the source itself.
        kept = self._memory.copy(source.id, target.id, length) if self.cells.held(source.id) >= length else 0
        self.cells.copy(source.id, target.id, kept)
        return kept

    def _restore(self, slot: Slot, stored: StoredPrefix) -> int:
        self.make_room(len(stored.tokens))
        if not self._memory.restore(slot.id, stored.state):
            return 0
        self.cells.append(slot.id, len(stored.tokens))
        return len(stored.tokens)

    def _cut(self, slot: Slot, length: int) -> int:
        kept = self._memory.truncate(slot.id, length)
        self.cells.truncate(slot.id, kept)
        slot.tokens = slot.tokens[:kept]
        return kept


def _offer_stored(stored: StoredPrefix, prompt: list[int]) -> _Offer:
    matched = common_prefix(stored.tokens, prompt)
    # Whether it could be cut shows only when it is restored.
    is_whole = matched == len(stored.tokens) < len(prompt)
    return _Offer(stored, matched if is_whole else 0, matched if is_whole else 0)
