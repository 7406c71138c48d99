"""Whatever happens to a pool, in whatever order: memory is kept to, nobody loses a model, and everybody is served."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar, get_args

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_llama.engine.generation import Generation
from mcp_llama.errors import ModelLoadError, UnavailableError
from mcp_llama.models.pool import ModelPool
from mcp_llama.models.room import PoolBounds
from tests.engine.sequences import request
from tests.gate import PATIENCE_S
from tests.models.pools import Shelf

DEFAULT, *OTHERS = NAMES = ("a", "b", "c", "d")
IDLE_S = 40
_LOOK_S = 0.01
T = TypeVar("T")
DAMAGED = "The file is damaged."

Kind = Literal[
    "use", "use in turn", "make", "give up", "leave", "enter", "drop", "hold", "stick", "let go", "damage", "wait"
]
KINDS: tuple[Kind, ...] = get_args(Kind)


ASKING: tuple[Kind, ...] = ("use", "use", "use in turn", "make", "leave", "leave")
"""What happens more often."""


@dataclass(frozen=True, slots=True)
class Step:
    """What happens next: to a model, or to one of the visitors or handles that there are."""

    kind: Kind
    name: str
    which: int


@dataclass(slots=True, kw_only=True)
class Plan:
    """Models and what may be, and what happens. Each step takes a second."""

    sizes: dict[str, int]
    bounds: PoolBounds
    steps: list[Step]

    @property
    def most(self) -> int | None:
        """The bytes that may be taken: the default model is loaded beside the pinned ones whatever it takes."""
        if self.bounds.memory is None:
            return None
        lasting = {DEFAULT, *self.bounds.pinned}
        return max(self.bounds.memory, sum(self.sizes[name] for name in lasting))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Few models of few sizes, so that they are in each other's way."""
    sizes = {name: draw(st.integers(1, 3)) for name in NAMES}
    bounds = PoolBounds(
        memory=draw(st.sampled_from([3, 4, 5, None])),
        idle_s=draw(st.sampled_from([None, IDLE_S])),
        pinned=draw(st.sampled_from([(), (), (DEFAULT,), ("b",)])),
    )
    steps = st.builds(Step, st.sampled_from((*KINDS, *ASKING)), st.sampled_from(NAMES), st.integers(0, 3))
    return Plan(sizes=sizes, bounds=bounds, steps=draw(st.lists(steps, max_size=30)))


@dataclass(eq=False, slots=True)
class Visitor:
    """One who asked for a model: waiting, there, or gone."""

    name: str
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once there is a model for it, or will never be one."""
    task: "asyncio.Task[None] | None" = None


@dataclass(eq=False, slots=True)
class Handle:
    """A handle of an engine, which a visitor made before leaving; `generation` is None once it was dropped."""

    name: str
    generation: Generation | None
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None


class Play:
    """A pool, those who use it, and what is known of both. `wrong` is what must not have happened."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.now = 0.0
        self.wrong: list[str] = []
        self.shelf = Shelf(*NAMES)
        self.shelf.sizes = plan.sizes
        self.shelf.on_load = self.note_use
        self.shelf.on_end = self.note_end
        self.pool = ModelPool(self.shelf.source(DEFAULT), supply=self.shelf, bounds=plan.bounds, clock=lambda: self.now)
        self.using: Counter[str] = Counter()
        self.last_use: dict[str, float] = {}
        self.visitors: list[Visitor] = []
        self.handles: list[Handle] = []
        self.has_stopped = False

    def note_use(self, name: str) -> None:
        """A model was used until now."""
        self.last_use[name] = self.now

    def note_end(self, name: str) -> None:
        """A model begins to be freed. Engine thread."""
        if self.has_stopped:
            return
        if self.using[name]:
            self.wrong.append(f"{name} was freed while {self.using[name]} used it")
        if name in self.plan.bounds.pinned:
            self.wrong.append(f"{name} was freed though it is pinned")
        unused = self.now - self.last_use[name]
        if self.plan.bounds.memory is None and unused < (self.plan.bounds.idle_s or 1e9):
            self.wrong.append(f"{name} was freed after {unused} s for nothing")

    async def visit(self, visitor: Visitor, *, in_turn: bool, makes: bool) -> None:
        """Use a model until told to leave, or make a handle and leave."""
        try:
            async with self.pool.use(visitor.name, in_turn=in_turn) as loaded:
                assert loaded.name == visitor.name
                self.using[visitor.name] += 1
                try:
                    visitor.arrived.set()
                    if makes:
                        self.using[visitor.name] += 1
                        self.handles.append(Handle(visitor.name, loaded.engine.generate(request("hi", 2))))
                    else:
                        await visitor.leave.wait()
                finally:
                    self.using[visitor.name] -= 1
                    self.note_use(visitor.name)
        except ModelLoadError as error:
            self.check_failure(visitor.name, str(error))
        except UnavailableError:
            if not self.has_stopped:
                self.wrong.append(f"{visitor.name} was refused")
        finally:
            visitor.arrived.set()

    def check_failure(self, name: str, text: str) -> None:
        """A model could not be had."""
        plan = self.plan
        pinned = sum(plan.sizes[other] for other in plan.bounds.pinned if other != name)
        cannot_fit = name != DEFAULT and plan.most is not None and plan.sizes[name] + pinned > (plan.bounds.memory or 0)
        if not (text == DAMAGED or (cannot_fit and "needs about" in text) or self.has_stopped):
            self.wrong.append(f"{name}: {text}")

    async def run(self, handle: Handle) -> None:
        """Run a request until told to leave."""
        generation = handle.generation
        assert generation is not None
        async with generation:
            await generation.result()
            await handle.leave.wait()
            self.using[handle.name] -= 1
            self.note_use(handle.name)

    async def step(self, step: Step) -> None:
        """One thing happens, and all that follows from it."""
        self.now += 1
        if step.kind in ("use", "use in turn", "make"):
            self.ask(step)
        elif step.kind in ("hold", "stick", "let go", "damage"):
            self.set_up(step)
        elif step.kind == "wait":
            await self.pass_time()
        else:
            self.change(step)
        await self.settle()

    def ask(self, step: Step) -> None:
        """A visitor comes."""
        visitor = Visitor(step.name)
        work = self.visit(visitor, in_turn=step.kind == "use in turn", makes=step.kind == "make")
        visitor.task = asyncio.create_task(work)
        self.visitors.append(visitor)

    def set_up(self, step: Step) -> None:
        """How loads and ends go from now on."""
        match step.kind:
            case "hold":
                self.shelf.hold(step.name)
            case "stick":
                self.shelf.stick(step.name)
            case "damage":
                self.shelf.errors[step.name] = ModelLoadError(DAMAGED)
            case _:
                self.shelf.let_go(step.name)

    def change(self, step: Step) -> None:
        """Someone who is there does something, if there is anyone."""
        match step.kind:
            case "give up":
                for visitor in _one(self.waiting, step.which):
                    assert visitor.task is not None
                    visitor.task.cancel()
            case "leave":
                for one in _one([*self.inside, *self.entered], step.which):
                    one.leave.set()
            case "enter":
                for handle in _one(self.loose, step.which):
                    handle.task = asyncio.create_task(self.run(handle))
            case _:
                for handle in _one(self.loose, step.which):
                    self.drop(handle)

    def drop(self, handle: Handle) -> None:
        """Forget a handle that was never entered."""
        self.using[handle.name] -= 1
        self.note_use(handle.name)
        handle.generation = None

    async def pass_time(self) -> None:
        """Nothing happens for long, until someone wakes the pool."""
        self.now += IDLE_S
        ready = [name for name in NAMES if self.pool.status(name).state == "ready"]
        if ready:
            async with self.pool.use(ready[0]):
                self.note_use(ready[0])

    @property
    def is_taken(self) -> bool:
        """Whether there is a reason for others to wait."""
        return bool(self.inside or self.loose or self.entered or self.shelf.is_held)

    @property
    def waiting(self) -> list[Visitor]:
        """Those who wait for a model."""
        return [each for each in self.visitors if not each.arrived.is_set()]

    @property
    def inside(self) -> list[Visitor]:
        """Those who have one."""
        return [
            each for each in self.visitors if each.task is not None and not each.task.done() and each.arrived.is_set()
        ]

    @property
    def loose(self) -> list[Handle]:
        """Handles that nobody has entered or dropped."""
        return [each for each in self.handles if each.generation is not None and each.task is None]

    @property
    def entered(self) -> list[Handle]:
        """Handles of requests that run, or have run and are not left."""
        return [each for each in self.handles if each.task is not None and not each.task.done()]

    async def settle(self) -> None:
        """Wait until nothing more happens by itself, and look at how things are."""
        await self.shelf.settled()
        with anyio.move_on_after(PATIENCE_S) as patience:
            while self.waiting and not self.is_taken:
                arrivals = [asyncio.ensure_future(visitor.arrived.wait()) for visitor in self.waiting]
                _, late = await asyncio.wait(arrivals, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
                for arrival in late:
                    arrival.cancel()
        assert not patience.cancelled_caught, f"nobody is in the way of {[visitor.name for visitor in self.waiting]}"
        if self.plan.bounds.idle_s is not None and not self.waiting and not self.shelf.is_held:
            self.check_idle()
        most = self.plan.most
        assert most is None or self.shelf.most_taken <= most, f"{self.shelf.most_taken} of {most}"
        assert not self.wrong

    def check_idle(self) -> None:
        """Nothing is there that nobody has used for long, once the pool had a reason to look."""
        for name in NAMES:
            unused = self.now - self.last_use.get(name, self.now)
            is_lasting = self.using[name] or name in self.plan.bounds.pinned
            if self.pool.status(name).state == "ready" and not is_lasting and unused > IDLE_S + len(self.plan.steps):
                self.wrong.append(f"{name} is still there after {unused} s")

    async def end(self) -> None:
        """Let all go on: everybody is served. Then the pool is closed."""
        self.shelf.let_go()
        with anyio.fail_after(2 * PATIENCE_S):
            while self.waiting or self.inside or self.entered:
                for one in (*self.inside, *self.entered):
                    one.leave.set()
                for handle in self.loose:
                    self.drop(handle)
                await asyncio.sleep(0)
        assert not self.wrong
        assert +self.using == Counter(handle.name for handle in self.loose)
        for visitor in self.visitors:
            assert visitor.task is not None
            assert visitor.task.cancelled() or visitor.task.exception() is None

    async def close(self) -> None:
        """The pool's end, whatever it is doing: all is freed."""
        self.has_stopped = True
        with anyio.fail_after(2 * PATIENCE_S):
            closing = asyncio.create_task(self.pool.close())
            self.shelf.let_go()
            await closing
            assert (self.shelf.taken, self.shelf.present) == (0, set())
            for one in (*self.inside, *self.entered):
                one.leave.set()
            tasks = [each.task for each in (*self.visitors, *self.handles) if each.task is not None]
            if tasks:
                await asyncio.wait(tasks)
        assert not self.wrong


def _one(them: Sequence[T], which: int) -> Sequence[T]:
    return them[which % len(them) :][:1] if them else ()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), st.booleans())
def test_memory_is_kept_to_and_everybody_is_served(plan: Plan, ends_first: bool) -> None:
    async def play() -> None:
        play = Play(plan)
        play.pool.start()
        try:
            for step in plan.steps:
                await play.step(step)
            if ends_first:
                await play.end()
        finally:
            await play.close()

    asyncio.run(play())
