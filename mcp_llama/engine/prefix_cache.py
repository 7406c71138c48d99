"""Which slot holds which tokens, and which one a new sequence gets. Engine thread only."""

from collections.abc import Sequence as Tokens
from dataclasses import dataclass

from mcp_llama.engine.sequence import Sequence, Slot

_COPY_PER_N_CTX = 512
"""A lane is copied whole, which takes less than to compute the 512th part of the tokens that fit it."""
_MIN_COPY = 16


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
class Place:
    """A slot for a new sequence, and how many of its tokens are there: in the slot, or in `source`, to be copied."""

    slot: Slot
    shared: int
    source: Slot | None = None


class PrefixCache:
    """The slots. A free slot keeps the tokens of its last sequence until another takes its place."""

    def __init__(self, n_slots: int, n_ctx: int) -> None:
        self.slots = [Slot(i) for i in range(n_slots)]
        self._copy_worth = max(_MIN_COPY, n_ctx // _COPY_PER_N_CTX)
        self._clock = 0

    def acquire(self, prompt: list[int]) -> Place | None:
        """The free slot that shares the longest prefix with `prompt`, the least recently used among equals.

        A running sequence that shares much more lends its prefix, once it has computed it. None while that lasts, and
        when every slot is taken.
        """
        free = [slot for slot in self.slots if slot.sequence is None]
        if not free:
            return None
        shared = {slot.id: common_prefix(slot.tokens, prompt) for slot in free}
        slot = max(free, key=lambda slot: (shared[slot.id], -slot.last_used))
        lender, lent = self._lender(prompt)
        if lender is None or lent - shared[slot.id] < self._copy_worth:
            return Place(slot, shared[slot.id])
        if lender.num_computed_tokens < lent:
            return None
        oldest = min(free, key=lambda slot: slot.last_used)
        return Place(oldest, lent, lender.slot)

    def release(self, slot: Slot, tokens: list[int]) -> None:
        """Free a slot that now holds the state of `tokens`."""
        self._clock += 1
        slot.last_used = self._clock
        slot.tokens = tokens
        slot.sequence = None

    def _lender(self, prompt: list[int]) -> tuple[Sequence | None, int]:
        """The running sequence that shares the longest prefix with `prompt`, or will."""
        best: tuple[Sequence | None, int] = None, 0
        for slot in self.slots:
            if slot.sequence is None:
                continue
            lent = common_prefix(slot.sequence.tokens, prompt)
            if slot.sequence.paused_since is not None or slot.sequence.num_pending_tokens == 1:
                # It computes nothing until it is read, or only a token a step.
                lent = min(lent, slot.sequence.num_computed_tokens)
            if lent > best[1]:
                best = slot.sequence, lent
        return best
