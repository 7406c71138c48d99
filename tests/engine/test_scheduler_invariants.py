from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mcp_llama.engine.prefix_cache import common_prefix
from mcp_llama.engine.scheduler import Batch, Scheduler
from mcp_llama.engine.sequence import Sequence
from tests.engine.sequences import sequence
from tests.fake_model import FakeModel

N_SLOTS = 3
N_CTX = 512
N_BATCH = 7
HEADS = ("", "a" * 24, "ab" * 20, "ab" * 20 + "b" * 30)


class SchedulerMachine(RuleBasedStateMachine):
    """Drives a scheduler as the engine does. The model asserts that no token is computed twice or skipped."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(N_SLOTS, N_CTX, N_BATCH)
        self.model = FakeModel(n_ctx=N_CTX, n_slots=N_SLOTS, n_batch=N_BATCH)
        self.alive: list[Sequence] = []

    @rule(head=st.sampled_from(HEADS), tail=st.text("ab", min_size=1, max_size=16))
    def add(self, head: str, tail: str) -> None:
        added = sequence(head + tail)
        self.alive.append(added)
        self.scheduler.add(added)

    @rule()
    def admit(self) -> None:
        waiting, free = list(self.scheduler.waiting), N_SLOTS - len(self.scheduler.running)
        admitted = self.scheduler.admit()
        if admitted is None:
            assert not waiting or not free or self.is_being_computed(waiting[0])
            return
        oldest, place = admitted
        assert oldest is waiting[0]
        assert oldest.slot is place.slot
        if place.source is not None:
            assert place.source.sequence in self.scheduler.running
            self.model.copy(place.source.id, place.slot.id)
        assert self.model.slots[place.slot.id][: place.shared] == oldest.tokens[: place.shared]
        oldest.num_computed_tokens = self.model.truncate(place.slot.id, min(place.shared, len(oldest.tokens) - 1))

    @rule(new=st.binary(min_size=1, max_size=4))
    def complete_a_batch(self, new: bytes) -> None:
        """Each sequence that has caught up gets a sampled token, and those that a constraint forces after it."""
        batch = self.scheduler.schedule()
        self.check(batch)
        if batch.parts:
            self.model.decode(batch.rows)
        for owner, count, row in batch.parts:
            owner.num_computed_tokens += count
            if row is not None:
                assert owner.num_pending_tokens == 0
                owner.tokens += new

    @rule()
    def lose_a_batch(self) -> None:
        for owner, _, _ in self.scheduler.schedule().parts:
            assert owner.slot is not None
            owner.num_computed_tokens = self.model.truncate(owner.slot.id, owner.num_computed_tokens // 2)

    @precondition(lambda self: self.scheduler.running)
    @rule(data=st.data())
    def pause_or_resume(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.scheduler.running))
        chosen.paused_since = 1.0 if chosen.paused_since is None else None

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
    def a_slot_belongs_to_one_running_sequence_or_is_free(self) -> None:
        owners = [slot.sequence for slot in self.scheduler.cache.slots if slot.sequence is not None]
        assert len(owners) == len(self.scheduler.running)
        assert set(owners) == set(self.scheduler.running)
        assert all(owner.slot is not None and owner.slot.sequence is owner for owner in owners)
        assert all(waiting.slot is None for waiting in self.scheduler.waiting)

    @invariant()
    def every_slot_holds_what_is_written_down(self) -> None:
        for slot, held in zip(self.scheduler.cache.slots, self.model.slots, strict=True):
            owner = slot.sequence
            assert held == (slot.tokens if owner is None else owner.tokens[: owner.num_computed_tokens])

    def teardown(self) -> None:
        """Nobody waits for ever: once all readers are back, everyone in turn samples a token and ends."""
        for owner in self.scheduler.running:
            owner.paused_since = None
        while self.alive:
            self.admit()
            oldest, before = self.scheduler.running[0], len(self.scheduler.running[0].tokens)
            for _ in range(N_CTX):
                if len(oldest.tokens) > before:
                    break
                self.admit()
                self.complete_a_batch(b"a")
            assert len(oldest.tokens) > before
            self.take_out(oldest)
        assert not any(slot.sequence for slot in self.scheduler.cache.slots)

    def take_out(self, chosen: Sequence) -> None:
        self.alive.remove(chosen)
        self.scheduler.remove(chosen)

    def is_being_computed(self, waiting: Sequence) -> bool:
        """Whether a running sequence that nothing holds up will have computed more of this one's prompt."""
        ready = [s for s in self.scheduler.running if s.paused_since is None and s.num_pending_tokens > 1]
        return any(common_prefix(s.tokens, waiting.tokens) > s.num_computed_tokens for s in ready)

    def check(self, batch: Batch) -> None:
        """A batch is full or has all that is ready: who caught up, then forced tokens, then prompts, each by age."""
        ready = [s for s in self.scheduler.running if s.paused_since is None]
        first = [s for s in ready if s.num_pending_tokens == 1]
        behind = [s for s in ready if s.num_pending_tokens > 1]
        then = [s for s in behind if s.completion_tokens] + [s for s in behind if not s.completion_tokens]
        owners = [owner for owner, _, _ in batch.parts]
        assert owners == (first + then)[: len(owners)]
        assert len(batch.rows) <= N_BATCH
        assert len(batch.rows) == min(N_BATCH, sum(s.num_pending_tokens for s in ready))


SchedulerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSchedulerInvariants = SchedulerMachine.TestCase
