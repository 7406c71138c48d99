"""Running sequences become neighbours, so that llama.cpp computes them together."""

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.engine.lanes import closing_moves
from mcp_llama.engine.prefix_cache import PrefixCache
from mcp_llama.engine.scheduler import Scheduler
from mcp_llama.engine.sequence import Sequence
from tests.engine.caches import compute, ids, memory
from tests.engine.sequences import sequence
from tests.fake_model import FakeModel

MANY = 200


class Lanes:
    """Sequences that have caught up run in some lanes; the others are free and hold a text, as an ended one left it."""

    def __init__(
        self,
        running: Collection[int],
        *,
        n_slots: int = 4,
        held: str = "An old conversation.",
        most: int = MANY,
        can_cut: bool = True,
        n_cells: int | None = None,
    ) -> None:
        self.model: FakeModel = memory(n_slots, can_cut=can_cut, n_cells=n_cells)
        self.cache: PrefixCache = PrefixCache(self.model)
        self.scheduler: Scheduler = Scheduler(self.cache, 512)
        self.running: list[Sequence] = []
        all_of_them = [sequence(f"{lane}{held * (lane + 1)}", most) for lane in range(n_slots)]
        for each in all_of_them:
            self.scheduler.add(each)
        while (admitted := self.scheduler.admit()) is not None:
            compute(self.cache, self.model, admitted[0], len(admitted[0].tokens))
        for lane, each in enumerate(all_of_them):
            assert each.slot is not None
            if lane in running:
                each.tokens += ids("!")
                self.running.append(each)
            else:
                self.scheduler.remove(each)

    def step(self) -> list[int]:
        """The lanes of the next batch, which is computed."""
        batch = self.scheduler.schedule(512)
        self.model.decode(batch.rows)
        for owner, count, _ in batch.parts:
            self.cache.advance(owner, count)
            owner.tokens += ids("!")
        return batch.rows.slots

    def held(self) -> set[str]:
        """What free lanes hold, which is what the memory holds there."""
        free = self.cache.free_slots
        assert all(slot.tokens == self.model.slots[slot.id] for slot in free)
        assert all(len(slot.tokens) == self.cache.cells.held(slot.id) for slot in free)
        return {bytes(slot.tokens).decode() for slot in free}


@pytest.mark.parametrize("can_cut", [True, False])
@pytest.mark.parametrize(
    ("running", "neighbours"), [([0, 2], [2, 3]), ([0, 1, 3], [0, 1, 2]), ([0, 2, 3], [1, 2, 3]), ([0, 3], [2, 3])]
)
def test_a_sequence_moves_where_a_free_lane_parts_those_that_run(
    running: list[int], neighbours: list[int], can_cut: bool
) -> None:
    lanes = Lanes(running, can_cut=can_cut)
    before = lanes.held()
    slots = lanes.step()
    assert slots == neighbours
    assert lanes.held() == before
    assert lanes.step() == slots
    assert len(lanes.model.copies) == 1


def test_a_moved_sequence_goes_on_where_it_was_and_leaves_its_new_lane_for_reuse() -> None:
    lanes = Lanes([0, 2])
    moved = lanes.running[1]
    for _ in range(3):
        lanes.step()
    assert moved.slot is not None
    assert lanes.model.slots[moved.slot.id] == moved.tokens[:-1]
    lanes.scheduler.remove(moved)
    assert bytes(moved.tokens[:-1]).decode() in lanes.held()


def test_what_was_used_last_stays_so_when_it_is_moved() -> None:
    lanes = Lanes([0, 2])
    order = [bytes(slot.tokens) for slot in lanes.cache.free_slots]
    lanes.step()
    assert [bytes(slot.tokens) for slot in lanes.cache.free_slots] == order


def test_an_empty_lane_needs_no_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = Lanes([0, 2])
    lanes.cache.make_room(lanes.model.n_cells)
    monkeypatch.setattr(lanes.model, "save", None)
    assert lanes.step() == [2, 3]
    assert lanes.held() == {""}


@pytest.mark.parametrize("running", [[0], [1, 2], [0, 1, 2, 3], []])
def test_neighbours_stay_where_they_are(running: list[int]) -> None:
    lanes = Lanes(running)
    for _ in range(2 if running else 0):
        assert lanes.step() == running
    assert not lanes.model.copies


def test_a_sequence_that_soon_ends_does_not_move() -> None:
    lanes = Lanes([0, 2], held="x" * 100, most=4)
    for each in lanes.running:
        each.tokens += ids("!!")
    assert set(lanes.step()) == {0, 2}
    assert not lanes.model.copies


def test_lanes_of_paused_sequences_are_not_taken() -> None:
    lanes = Lanes([0, 1, 2])
    lanes.running[1].paused_since = 1.0
    assert lanes.step() == [2, 3]
    assert lanes.running[1].slot is lanes.cache.slots[1]
    assert lanes.model.slots[1] == lanes.running[1].tokens[:-1]


def test_between_paused_sequences_nothing_moves() -> None:
    lanes = Lanes([0, 1, 2, 3])
    for each in lanes.running[1::2]:
        each.paused_since = 1.0
    assert lanes.step() == [0, 2]
    assert not lanes.model.copies


def test_in_a_pool_nothing_moves() -> None:
    lanes = Lanes([0, 2], n_cells=500)
    assert lanes.step() == [0, 2]
    assert not lanes.model.copies


def test_a_state_that_does_not_fit_back_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = Lanes([0, 2])
    monkeypatch.setattr(lanes.model, "save", lambda _: b"odd")  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    assert lanes.step() == [2, 3]
    assert "" in lanes.held()


def test_a_copy_that_fails_leaves_the_sequence_in_its_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = Lanes([0, 2])

    def fail(source: int, target: int, length: int) -> int:
        assert source != target
        assert length > 0
        lanes.model.truncate(target, 0)
        return 0

    monkeypatch.setattr(lanes.model, "copy", fail)
    assert lanes.step() == [0, 2]
    assert "" in lanes.held()


@given(st.integers(1, 24).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_moves_end_with_neighbours(case: tuple[int, set[int]]) -> None:
    n_slots, running = case
    for _ in range(n_slots):
        moves = closing_moves(running, set(range(n_slots)) - running)
        if not moves:
            break
        source, target = moves[0]
        assert source in running
        assert target not in running
        running = running - {source} | {target}
    assert not running or max(running) - min(running) + 1 == len(running)


@given(st.sets(st.integers(0, 15)), st.data())
def test_moves_end_where_some_lanes_are_taken_otherwise(running: set[int], data: st.DataObject) -> None:
    free = data.draw(st.sets(st.sampled_from(sorted(set(range(16)) - running)))) if len(running) < 16 else set[int]()
    for _ in range(64):
        moves = closing_moves(running, free)
        if not moves:
            return
        source, target = data.draw(st.sampled_from(moves))
        running = running - {source} | {target}
        free = free - {target} | {source}
    raise AssertionError("sequences move for ever")
