"""Pools of fake models, whose loads and ends a test can see."""

import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager

import anyio
import anyio.lowlevel
import anyio.to_thread

from mcp_llama.engine.generation import Generation
from mcp_llama.errors import ModelLoadError, RequestError, UnknownModelError
from mcp_llama.models.pool import ModelPool
from mcp_llama.models.room import PoolBounds
from mcp_llama.models.source import ModelSource
from tests.engine.sequences import request
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S

SIZE = 4_000
"""The bytes that each fake model takes unless a test says otherwise."""

_LOOK_S = 0.005
_LONG_S = 6 * PATIENCE_S
"""What a test holds may stay so through many steps on a busy machine."""
_ROUNDS = 8
"""More turns of the event loop than a change takes from one task to the next until all have heard of it."""


class Closing(FakeModel):
    """A FakeModel that says when it is freed, and `on_close` when it begins to be."""

    def __init__(self, memory: int, on_close: Callable[[], None]) -> None:
        super().__init__()
        self.memory = memory
        self.freed = threading.Event()
        self._on_close = on_close

    def close(self) -> None:
        """Count the model as freed."""
        self._on_close()
        super().close()
        self.freed.set()


class Shelf:
    """Models that can be loaded, by name, and each load of them. `errors` are what the next loads fail with.

    The loads of the `held` ones, and the ends of `stuck` ones, wait until they are let go.
    """

    def __init__(self, *names: str) -> None:
        self.sizes = dict.fromkeys(names, SIZE)
        self.loads: list[str] = []
        self.looks: list[str] = []
        """The names that were looked for on the shelf; empty for a look at all of it."""
        self.models: dict[str, Closing] = {}
        self.errors: dict[str, Exception] = {}
        self.scripts: dict[str, str] = {}
        """What models say to every prompt."""
        self.on_load: Callable[[str], None] = lambda _: None
        """Called with the name of a model that has been loaded, on the loader's thread."""
        self.on_end: Callable[[str], None] = lambda _: None
        """Called with the name of a model that begins to be freed, on its engine's thread."""
        self.taken = 0
        """The bytes of all models that are loaded or being loaded."""
        self.most_taken = 0
        self._held: set[str] = set()
        self._stuck: set[str] = set()
        self._waiting: set[str] = set()
        self._moves = 0
        self._stuck_ends = 0
        self._changed = threading.Condition()

    def source(self, name: str) -> ModelSource:
        """What the pool loads."""
        return ModelSource(name=name, load=lambda report: self._load(name, report), memory=lambda: self.sizes[name])

    def sources(self) -> Sequence[ModelSource]:
        """All of them."""
        self.looks.append("")
        return [self.source(name) for name in self.sizes]

    def find(self, name: str) -> ModelSource:
        """By name, or what is behind its last slash, in any case."""
        self.looks.append(name)
        found = [known for known in self.sizes if name.lower() in (known.lower(), known.lower().rpartition("/")[2])]
        if not found:
            raise UnknownModelError(name, self.sizes)
        if len(found) > 1:
            raise RequestError(f"{name} may mean {' or '.join(found)}. Give one of these names.", "model")
        return self.source(found[0])

    def hold(self, *names: str) -> None:
        """Let the loads of these models wait when they are half done."""
        self._held |= set(names)

    def stick(self, *names: str) -> None:
        """Let the ends of these models wait before anything is freed."""
        self._stuck |= set(names)

    def let_go(self, *names: str) -> None:
        """Let these go on, or all."""
        with self._changed:
            self._held -= set(names or self._held)
            self._stuck -= set(names or self._stuck)
            self._changed.notify_all()

    @property
    def present(self) -> set[str]:
        """The models that are loaded and not freed."""
        return {name for name, model in self.models.items() if not model.closed}

    async def freed(self, name: str) -> None:
        """Wait until a model is freed."""
        assert await anyio.to_thread.run_sync(self.models[name].freed.wait, PATIENCE_S)

    async def waits(self, name: str) -> None:
        """Wait until a load that is held has begun, or an end that is."""
        assert await anyio.to_thread.run_sync(self._wait_for, lambda: name in self._waiting), f"{name} does not wait"

    def _wait_for(self, condition: Callable[[], bool]) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, _LONG_S)

    def _calm(self) -> None:
        assert self._wait_for(lambda: self._moves == len(self._waiting))

    async def settled(self) -> None:
        """Wait until neither a thread nor a task has anything to do but what waits for the test."""
        threads, rounds = anyio.to_thread.current_default_thread_limiter(), 0
        with anyio.fail_after(_LONG_S):
            while rounds < _ROUNDS:
                await anyio.to_thread.run_sync(self._calm)
                await anyio.lowlevel.checkpoint()
                rounds = rounds + 1 if threads.borrowed_tokens == self._stuck_ends else 0

    @property
    def is_held(self) -> bool:
        """Whether a load or an end waits for the test."""
        return bool(self._waiting)

    def _load(self, name: str, report: Callable[[float], bool]) -> FakeModel:
        with self._moving():
            return self._loaded(name, report)

    def _loaded(self, name: str, report: Callable[[float], bool]) -> FakeModel:
        size = self.sizes[name]
        self._take(size)
        self.loads.append(name)
        try:
            wanted = report(0.5)
            with self._waits(name):
                while wanted and name in self._held:
                    self._changed.wait(_LOOK_S)
                    wanted = report(0.5)
            if not wanted:
                raise ModelLoadError("stopped")
            if name in self.errors:
                raise self.errors.pop(name)
        except Exception:
            self._take(-size)
            raise
        model = self.models[name] = Closing(size, lambda: self._end(name, size))
        if name in self.scripts:
            model.script(None, self.scripts[name])
        self.on_load(name)
        return model

    def _end(self, name: str, size: int) -> None:
        self.on_end(name)
        with self._moving():
            if name in self._stuck:
                with self._waits(name):
                    self._stuck_ends += 1
                    assert self._changed.wait_for(lambda: name not in self._stuck, _LONG_S)
                    self._stuck_ends -= 1
            self._take(-size)

    @contextmanager
    def _moving(self) -> Generator[None]:
        with self._changed:
            self._moves += 1
        try:
            yield
        finally:
            with self._changed:
                self._moves -= 1
                self._changed.notify_all()

    @contextmanager
    def _waits(self, name: str) -> Generator[None]:
        with self._changed:
            self._waiting.add(name)
            self._changed.notify_all()
            yield
            self._waiting.discard(name)

    def _take(self, size: int) -> None:
        with self._changed:
            self.taken += size
            self.most_taken = max(self.most_taken, self.taken)


@asynccontextmanager
async def pool_of(
    shelf: Shelf, bounds: PoolBounds | None = None, clock: Callable[[], float] = time.monotonic
) -> AsyncGenerator[ModelPool]:
    """A pool whose default model is the first one of the shelf. All its models are free in the end."""
    default = shelf.source(next(iter(shelf.sizes)))
    pool = ModelPool(default, supply=shelf, bounds=bounds, clock=clock)
    pool.start()
    try:
        with anyio.fail_after(2 * PATIENCE_S):
            yield pool
    finally:
        shelf.let_go()
        for model in shelf.models.values():
            model.gate.open()
        with anyio.fail_after(2 * PATIENCE_S):
            await pool.close()
        assert (shelf.present, shelf.taken) == (set(), 0)


async def touch(pool: ModelPool, *names: str | None) -> None:
    """Use models, one after the other, for a moment."""
    for name in names:
        async with pool.use(name):
            pass


async def generation(pool: ModelPool, name: str) -> Generation:
    """A handle that has not been entered yet."""
    async with pool.use(name) as loaded:
        return loaded.engine.generate(request("hi", 4))
