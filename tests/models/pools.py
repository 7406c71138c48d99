"""Pools of fake models, whose loads and ends a test can see."""

import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from mcp_llama.engine.generation import Generation
from mcp_llama.errors import UnknownModelError
from mcp_llama.models.pool import ModelPool, PoolBounds
from mcp_llama.models.source import ModelSource
from tests.engine.sequences import request
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S

SIZE = 4_000
"""The bytes that each fake model takes unless a test says otherwise."""


class Closing(FakeModel):
    """A FakeModel that says when it is freed."""

    def __init__(self, memory: int) -> None:
        super().__init__()
        self.memory = memory
        self.freed = threading.Event()

    def close(self) -> None:
        """Count the model as freed."""
        super().close()
        self.freed.set()


class Shelf:
    """Models that can be loaded, by name, and each load of them. `errors` are what the next loads fail with."""

    def __init__(self, *names: str) -> None:
        self.sizes = dict.fromkeys(names, SIZE)
        self.loads: list[str] = []
        self.models: dict[str, Closing] = {}
        self.errors: dict[str, Exception] = {}
        self.held: set[str] = set()
        self.go_on = threading.Event()
        self.at_half = threading.Event()

    def source(self, name: str) -> ModelSource:
        """What the pool loads."""
        return ModelSource(name=name, load=lambda report: self._load(name, report), memory=lambda: self.sizes[name])

    def sources(self) -> Sequence[ModelSource]:
        """All of them."""
        return [self.source(name) for name in self.sizes]

    def find(self, name: str) -> ModelSource:
        """By name, in any case."""
        if name.lower() not in self.sizes:
            raise UnknownModelError(name, self.sizes)
        return self.source(name.lower())

    @property
    def present(self) -> set[str]:
        """The models that are loaded and not freed."""
        return {name for name, model in self.models.items() if not model.closed}

    async def freed(self, name: str) -> None:
        """Wait until a model is freed."""
        assert await anyio.to_thread.run_sync(self.models[name].freed.wait, PATIENCE_S)

    async def half(self) -> None:
        """Wait until a load that is held has begun."""
        assert await anyio.to_thread.run_sync(self.at_half.wait, PATIENCE_S)

    def _load(self, name: str, report: Callable[[float], bool]) -> FakeModel:
        self.loads.append(name)
        report(0.5)
        if name in self.held:
            self.at_half.set()
            assert self.go_on.wait(PATIENCE_S)
        if name in self.errors:
            raise self.errors.pop(name)
        self.models[name] = Closing(self.sizes[name])
        return self.models[name]


@asynccontextmanager
async def pool_of(shelf: Shelf, bounds: PoolBounds | None = None) -> AsyncGenerator[ModelPool]:
    """A pool whose default model is the first one of the shelf."""
    pool = ModelPool(shelf.source(next(iter(shelf.sizes))), supply=shelf, bounds=bounds)
    pool.start()
    try:
        with anyio.fail_after(2 * PATIENCE_S):
            yield pool
    finally:
        shelf.go_on.set()
        for model in shelf.models.values():
            model.gate.open()
        await pool.close()


async def touch(pool: ModelPool, *names: str | None) -> None:
    """Use models, one after the other, for a moment."""
    for name in names:
        async with pool.use(name):
            pass


async def generation(pool: ModelPool, name: str) -> Generation:
    """A handle that has not been entered yet."""
    async with pool.use(name) as loaded:
        return loaded.engine.generate(request("hi", 4))
