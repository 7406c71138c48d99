"""Which slot holds which tokens, and which one a new sequence gets. Engine thread only."""

from collections.abc import Sequence as Tokens

from mcp_llama.engine.sequence import Slot


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


class PrefixCache:
    """The slots. A free slot keeps the tokens of its last sequence until another takes its place."""

    def __init__(self, n_slots: int) -> None:
        self.slots = [Slot(i) for i in range(n_slots)]
        self._clock = 0

    def acquire(self, prompt: list[int]) -> tuple[Slot, int] | None:
        """The free slot that shares the longest prefix with `prompt`, the least recently used among equals.

        Returns the slot and the length of the shared prefix, or None when every slot is taken.
        """
        free = [slot for slot in self.slots if slot.sequence is None]
        if not free:
            return None
        shared = {slot.id: common_prefix(slot.tokens, prompt) for slot in free}
        slot = max(free, key=lambda slot: (shared[slot.id], -slot.last_used))
        return slot, shared[slot.id]

    def release(self, slot: Slot, tokens: list[int]) -> None:
        """Free a slot that now holds the state of `tokens`."""
        self._clock += 1
        slot.last_used = self._clock
        slot.tokens = tokens
        slot.sequence = None
