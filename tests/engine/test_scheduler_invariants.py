from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mcp_llama.engine.model import DecodeError
from mcp_llama.engine.prefix_cache import PrefixCache, common_prefix
from mcp_llama.engine.scheduler import Batch, Scheduler
from mcp_llama.engine.sequence import Sequence
from tests.engine.caches import ids
from tests.engine.sequences import sequence
from tests.fake_model import FakeModel

N_SLOTS = 3
N_CTX = 112
N_BATCH = 12
POOL = 128
HEADS = ("", "a" * 24, "ab" * 20, "ab" * 20 + "b" * 20)
LENGTHS = st.sampled_from((60, 88, 88, 30, 1))
ENOUGH_STEPS = 5_000


class SchedulerMachine(RuleBasedStateMachine):
    """Drives scheduler and cache as the engine does. The model asserts that no token is computed twice or skipped, that
    nothing is cut which cannot be, and that the cells suffice.
    """

    n_cells: int | None = None
    can_cut = True

    def __init__(self) -> None:
        super().__init__()
        self.model = FakeModel(
            n_ctx=N_CTX, n_slots=N_SLOTS, n_batch=N_BATCH, n_cells=self.n_cells, can_cut=self.can_cut
        )
        self.cache = PrefixCache(self.model)
        self.scheduler = Scheduler(self.cache, N_BATCH)
        self.alive: list[Sequence] = []

    @rule(head=st.sampled_from(HEADS), tail=st.text("ab", min_size=1, max_size=16), most=LENGTHS)
    def add(self, head: str, tail: str, most: int) -> None:
        self.put_in(ids(head + tail), most)

    @rule(slot=st.integers(0, N_SLOTS - 1), tail=st.text("ab", min_size=1, max_size=8), most=LENGTHS)
    def continue_what_a_slot_holds(self, slot: int, tail: str, most: int) -> None:
        self.put_in((self.model.slots[slot] + ids(tail))[: N_CTX - 1], most)

    @rule()
    def admit(self) -> None:
        free = len(self.cache.free_slots)
        queue = [s for s in self.scheduler.waiting if s.paused_since is None]
        admitted = self.scheduler.admit()
        if admitted is None:
            first = queue[:free]
            may_wait = [s for s in first if self.is_being_computed(s)]
            lacks_room = self.n_cells is not None and bool(self.scheduler.running)
            assert may_wait == first or lacks_room
            return
        owner, place = admitted
        assert owner.slot is place.slot
        assert owner.num_computed_tokens == place.shared
        assert owner.num_pending_tokens > 0
        assert all(self.is_being_computed(s) for s in queue[: queue.index(owner)])

    @rule(count=st.integers(2, 24), new=st.sampled_from(("ab", "ab" * 6)))
    def run_for_some_steps(self, count: int, new: str) -> None:
        for _ in range(count):
            self.admit()
            self.complete_a_batch(new, 4)

    @rule(new=st.text("ab", min_size=1, max_size=16), prompt_rows=st.integers(1, N_BATCH))
    def complete_a_batch(self, new: str, prompt_rows: int) -> None:
        """Each sequence that has caught up gets a sampled token, and those that a constraint forces after it."""
        batch = self.schedule(prompt_rows)
        if batch.parts:
            self.model.decode(batch.rows)
        for owner, count, row in batch.parts:
            self.cache.advance(owner, count)
            if row is not None:
                assert owner.num_pending_tokens == 0
                owner.tokens += ids(new)[: owner.request.max_tokens - owner.completion_tokens]
                if owner.is_full:
                    self.take_out(owner)

    @rule(prompt_rows=st.integers(1, N_BATCH), is_fault=st.booleans())
    def lose_a_batch(self, prompt_rows: int, is_fault: bool) -> None:
        """A batch that fails makes suspects; one that was aborted does not."""
        batch = self.schedule(prompt_rows)
        if not batch.parts:
            return
        self.model.fault = lambda _: DecodeError("no luck")
        try:
            self.model.decode(batch.rows)
        except DecodeError:
            self.model.fault = None
        for owner, count, _ in batch.parts:
            if is_fault:
                owner.suspect_tokens = owner.num_computed_tokens + count
            self.cache.roll_back(owner)
        if is_fault and len(batch.parts) == 1:
            self.take_out(batch.parts[0][0])

    @precondition(lambda self: self.scheduler.running)
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.scheduler.running)).paused_since = 1.0

    @precondition(lambda self: any(s.paused_since for s in self.alive))
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from([s for s in self.alive if s.paused_since])).paused_since = None

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        self.take_out(data.draw(st.sampled_from(self.alive)))

    @invariant()
    def every_sequence_is_in_one_place(self) -> None:
        known = [*self.scheduler.running, *self.scheduler.waiting]
        assert len(known) == len(self.alive)
        assert set(known) == set(self.alive)

    @invariant()
    def the_running_and_the_waiting_are_in_the_order_of_their_arrival(self) -> None:
        for queue in (self.scheduler.running, self.scheduler.waiting):
            orders = [s.order for s in queue]
            assert orders == sorted(orders)

    @invariant()
    def a_slot_belongs_to_one_running_sequence_or_is_free(self) -> None:
        owners = [slot.sequence for slot in self.cache.slots if slot.sequence is not None]
        assert len(owners) == len(self.scheduler.running)
        assert set(owners) == set(self.scheduler.running)
        assert all(owner.slot is not None and owner.slot.sequence is owner for owner in owners)
        assert all(waiting.slot is None and not waiting.num_computed_tokens for waiting in self.scheduler.waiting)

    @invariant()
    def every_slot_holds_what_is_written_down(self) -> None:
        for slot, held in zip(self.cache.slots, self.model.slots, strict=True):
            owner = slot.sequence
            assert held == (slot.tokens if owner is None else owner.tokens[: owner.num_computed_tokens])
            assert len(held) == self.cache.cells.held(slot.id)

    @invariant()
    def as_many_cells_are_counted_as_the_memory_uses(self) -> None:
        assert self.cache.cells.used == used_cells(self.model)
        assert self.cache.cells.used + self.cache.cells.free == self.model.n_cells

    def teardown(self) -> None:
        """Nobody waits for ever: once all readers are back, everyone gets all its tokens, and nothing is left over."""
        for owner in self.alive:
            owner.paused_since = None
        for _ in range(ENOUGH_STEPS):
            if not self.alive:
                break
            for _ in range(N_SLOTS):
                self.admit()
            self.complete_a_batch("ab", 4)
        assert not self.alive
        assert self.cache.make_room(self.model.n_cells) == self.model.n_cells
        assert (self.cache.cells.used, used_cells(self.model)) == (0, 0)

    def schedule(self, prompt_rows: int) -> Batch:
        """The next batch; it preempts the newest only, and never for a newer one."""
        before = list(self.scheduler.running)
        oldest = next((s for s in before if s.paused_since is None), None)
        preemptions = self.scheduler.preemptions
        batch = self.scheduler.schedule(prompt_rows)
        gone = before[len(self.scheduler.running) :]
        assert before == [*self.scheduler.running, *gone]
        assert self.scheduler.preemptions == preemptions + len(gone)
        assert oldest not in gone
        assert not gone or self.n_cells is not None
        assert len(batch.rows) + self.cache.cells.used <= self.model.n_cells
        self.check(batch, prompt_rows)
        return batch

    def check(self, batch: Batch, prompt_rows: int) -> None:
        """Rows are in the order of the slots, of those that are ready; whoever can have a row gets one."""
        ready = [s for s in self.scheduler.running if s.paused_since is None]
        suspects = [s for s in ready if s.is_suspect][:1]
        counts = {owner: count for owner, count, _ in batch.parts}
        assert batch.rows.slots == sorted(batch.rows.slots)
        assert len(counts) == len(batch.parts)
        assert set(counts) <= set(suspects or ready)
        caught_up = [s for s in suspects or ready if s.num_pending_tokens == 1]
        room = min(N_BATCH - len(caught_up), prompt_rows) if caught_up else N_BATCH
        behind = sum(s.num_pending_tokens for s in suspects or ready) - len(caught_up)
        if self.n_cells is None:
            assert len(batch.rows) == len(caught_up) + min(room, behind)
            assert set(caught_up) <= set(counts)
        elif ready and ready[0] is self.scheduler.running[0] and (ready[0] in suspects or not suspects):
            assert ready[0] in counts or ready[0] not in caught_up

    def put_in(self, prompt: list[int], most: int) -> None:
        added = sequence(prompt, min(most, N_CTX - len(prompt)))
        self.alive.append(added)
        self.scheduler.add(added)

    def take_out(self, chosen: Sequence) -> None:
        self.alive.remove(chosen)
        self.scheduler.remove(chosen)

    def is_being_computed(self, waiting: Sequence) -> bool:
        """Whether a running sequence that nothing holds up will have computed more of this one's prompt."""
        ready = [s for s in self.scheduler.running if s.paused_since is None and s.num_pending_tokens > 1]
        return any(common_prefix(s.tokens, waiting.tokens) > s.num_computed_tokens for s in ready)


def used_cells(model: FakeModel) -> int:
    """How many cells a memory uses; each holds one token at one position."""
    if model.has_lanes:
        return sum(map(len, model.slots))
    contents: dict[int, tuple[int, int]] = {}
    for tokens, cells in zip(model.slots, model.cells, strict=True):
        assert len(set(cells)) == len(cells) == len(tokens)
        for position, (token, cell) in enumerate(zip(tokens, cells, strict=True)):
            assert contents.setdefault(cell, (position, token)) == (position, token)
    return len(contents)


class PoolMachine(SchedulerMachine):
    n_cells = POOL


class UncutMachine(SchedulerMachine):
    can_cut = False


class UncutPoolMachine(SchedulerMachine):
    n_cells = POOL
    can_cut = False


TestLanes = SchedulerMachine.TestCase
TestPool = PoolMachine.TestCase
TestLanesThatCannotBeCut = UncutMachine.TestCase
TestPoolThatCannotBeCut = UncutPoolMachine.TestCase
_SETTINGS = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestLanes.settings = TestPool.settings = _SETTINGS
TestLanesThatCannotBeCut.settings = TestPoolThatCannotBeCut.settings = _SETTINGS
