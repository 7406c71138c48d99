"""KvCells: how many cells of the KV cache the slots take, and which of them they share. Engine thread only."""

from collections.abc import Iterable
from typing import cast


class _Span:
    """Cells that were filled one after another, behind those of `parent`. `users` counts slots that end here and spans
    that go on from here.
    """

    __slots__ = ("length", "parent", "users")

    def __init__(self, parent: "_Span | None", length: int) -> None:
        self.parent = parent
        self.length = length
        self.users = 1


class KvCells:
    """The cells of all slots as a tree, in which slots with a common prefix have its spans in common.

    `is_shared` says whether a copied prefix takes no cells of its own, as in llama.cpp's unified cache.
    """

    def __init__(self, n_slots: int, n_cells: int, *, is_shared: bool) -> None:
        self._n_cells = n_cells
        self._is_shared = is_shared
        self._root = _Span(None, 0)
        self._ends = [self._root] * n_slots
        self._held = [0] * n_slots
        self.used = 0

    @property
    def free(self) -> int:
        """How many cells nobody holds."""
        return self._n_cells - self.used

    def held(self, slot: int) -> int:
        """How many tokens a slot holds."""
        return self._held[slot]

    def append(self, slot: int, count: int) -> None:
        """A slot holds so many tokens more."""
        end = self._ends[slot]
        if end is self._root or end.users > 1:
            self._ends[slot] = _Span(end, count)
        else:
            end.length += count
        self._held[slot] += count
        self.used += count

    def truncate(self, slot: int, length: int) -> None:
        """A slot holds only its first `length` tokens."""
        self._move(slot, self._span_at(slot, length), length)

    def copy(self, source: int, target: int, length: int) -> None:
        """A slot holds the first `length` tokens of another."""
        if self._is_shared:
            self._move(target, self._span_at(source, length), length)
        else:
            self.truncate(target, 0)
            self.append(target, length)

    def exchange(self, a: int, b: int) -> None:
        """Each of two slots holds what the other held."""
        self._ends[a], self._ends[b] = self._ends[b], self._ends[a]
        self._held[a], self._held[b] = self._held[b], self._held[a]

    def held_by(self, prefixes: Iterable[tuple[int, int]]) -> int:
        """How many cells the first tokens of some slots take together; `prefixes` are slots and lengths."""
        covered: dict[_Span, int] = {}
        for slot, length in prefixes:
            span, end = self._ends[slot], self._held[slot]
            while span is not self._root:
                start = end - span.length
                covered[span] = max(covered.get(span, 0), min(length, end) - start)
                span, end = cast(_Span, span.parent), start
        return sum(length for length in covered.values() if length > 0)

    def _span_at(self, slot: int, length: int) -> _Span:
        """The span that ends after the first `length` tokens of a slot; where there is none, one is split."""
        span, end = self._ends[slot], self._held[slot]
        assert 0 <= length <= end
        while span is not self._root and end - span.length >= length:
            end -= span.length
            span = cast(_Span, span.parent)
        if span is self._root or end == length:
            return span
        head = _Span(span.parent, span.length - (end - length))
        span.parent, span.length = head, end - length
        return head

    def _move(self, slot: int, end: _Span, length: int) -> None:
        end.users += 1
        self._leave(self._ends[slot])
        self._ends[slot], self._held[slot] = end, length

    def _leave(self, span: _Span) -> None:
        while span is not self._root:
            span.users -= 1
            if span.users:
                return
            self.used -= span.length
            span = cast(_Span, span.parent)
