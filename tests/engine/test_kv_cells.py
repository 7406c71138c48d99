"""How many cells slots take, against a model that names every cell."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mcp_llama.engine.kv_cells import KvCells

N_SLOTS = 4
N_CELLS = 1_000
slots = st.integers(0, N_SLOTS - 1)


class CellsMachine(RuleBasedStateMachine):
    """Keeps the cells of each slot as a list of names."""

    is_shared = True

    def __init__(self) -> None:
        super().__init__()
        self.counted = KvCells(N_SLOTS, N_CELLS, is_shared=self.is_shared)
        self.named: list[list[int]] = [[] for _ in range(N_SLOTS)]
        self.names = itertools.count()

    @rule(slot=slots, count=st.integers(0, 9))
    def append(self, slot: int, count: int) -> None:
        self.counted.append(slot, count)
        self.named[slot] += itertools.islice(self.names, count)

    @rule(slot=slots, data=st.data())
    def truncate(self, slot: int, data: st.DataObject) -> None:
        length = data.draw(st.integers(0, len(self.named[slot])))
        self.counted.truncate(slot, length)
        del self.named[slot][length:]

    @rule(source=slots, into=slots, data=st.data())
    def copy(self, source: int, into: int, data: st.DataObject) -> None:
        if source == into:
            return
        length = data.draw(st.integers(0, len(self.named[source])))
        self.counted.copy(source, into, length)
        copied = self.named[source][:length]
        self.named[into] = copied if self.is_shared else list(itertools.islice(self.names, length))

    @rule(data=st.data(), chosen=st.lists(slots, max_size=6))
    def ask_for_the_cells_of_prefixes(self, chosen: list[int], data: st.DataObject) -> None:
        prefixes = [(slot, data.draw(st.integers(0, len(self.named[slot])))) for slot in chosen]
        named = {name for slot, length in prefixes for name in self.named[slot][:length]}
        assert self.counted.held_by(prefixes) == len(named)

    @invariant()
    def the_counts_are_exact(self) -> None:
        used = len({name for names in self.named for name in names})
        assert (self.counted.used, self.counted.free) == (used, N_CELLS - used)
        assert [self.counted.held(slot) for slot in range(N_SLOTS)] == list(map(len, self.named))

    def teardown(self) -> None:
        for slot in range(N_SLOTS):
            self.counted.truncate(slot, 0)
        assert (self.counted.used, self.counted.free) == (0, N_CELLS)


class LanesMachine(CellsMachine):
    is_shared = False


TestSharedCells = CellsMachine.TestCase
TestLanes = LanesMachine.TestCase
TestSharedCells.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLanes.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_shared_prefix_takes_its_cells_once() -> None:
    cells = KvCells(3, 100, is_shared=True)
    cells.append(0, 30)
    cells.copy(0, 1, 20)
    cells.append(1, 5)
    cells.copy(1, 2, 25)
    assert (cells.used, cells.free) == (35, 65)
    cells.truncate(0, 0)
    assert cells.used == 25
    cells.truncate(1, 0)
    assert cells.used == 25
    cells.truncate(2, 10)
    assert cells.used == 10


def test_a_prefix_that_lanes_have_in_common_takes_cells_in_each() -> None:
    cells = KvCells(2, 100, is_shared=False)
    cells.append(0, 30)
    cells.append(1, 50)
    cells.copy(0, 1, 20)
    assert (cells.used, cells.held(1)) == (50, 20)


@pytest.mark.parametrize("is_shared", [True, False])
def test_the_cells_of_a_prefix_are_those_up_to_its_length(is_shared: bool) -> None:
    cells = KvCells(2, 100, is_shared=is_shared)
    cells.append(0, 30)
    cells.copy(0, 1, 20)
    assert cells.held_by([(0, 10), (1, 15)]) == (15 if is_shared else 25)
    assert cells.held_by([(0, 0)]) == cells.held_by([]) == 0


def test_a_slot_does_not_hold_more_than_it_holds() -> None:
    cells = KvCells(1, 100, is_shared=True)
    cells.append(0, 30)
    with pytest.raises(AssertionError):
        cells.truncate(0, 31)
