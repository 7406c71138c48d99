"""PooledModel: one model of the pool, loaded or not, and who uses it. Event loop only."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial

import anyio.to_thread

from mcp_llama.api import ModelStatus
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.metrics import EngineMetrics
from mcp_llama.models.loader import LoadedModel, ModelLoader
from mcp_llama.models.source import ModelSource


class PooledModel:
    """A model that comes and goes; what is counted of it stays. `on_change` is called when it may have become idle."""

    def __init__(
        self,
        source: ModelSource,
        limits: EngineLimits,
        metrics: EngineMetrics,
        on_change: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._used = clock()
        self._source = source
        self._limits = limits
        self._metrics = metrics
        self._on_change = on_change
        self._clock = clock
        self._callers = 0
        self._loader: ModelLoader | None = None
        self._freeing: asyncio.Task[None] | None = None
        self._need: int | None = None

    @property
    def name(self) -> str:
        """What it is served under."""
        return self._source.name

    @property
    def last_used(self) -> float:
        """When somebody used it last, or when it was loaded for nobody."""
        ended = None if self._loader is None else self._loader.ended
        return self._used if ended is None else max(self._used, ended)

    @property
    def is_present(self) -> bool:
        """Whether it is loaded, or being loaded."""
        return self._loader is not None and not self._loader.has_failed

    @property
    def takes_memory(self) -> bool:
        """Whether it is present, or not freed yet."""
        return self.is_present or self._freeing is not None

    @property
    def is_idle(self) -> bool:
        """Whether it is loaded and nobody uses it."""
        loaded = self._loaded_now()
        return loaded is not None and not self._callers and loaded.engine.is_idle

    @contextmanager
    def held(self) -> Generator[None]:
        """Keep it for the time of the body: for those who wait for it, or prepare a request."""
        self._callers += 1
        try:
            yield
        finally:
            self._callers -= 1
            self._note_use(self._clock())

    def status(self) -> ModelStatus:
        """How far it is."""
        if self._loader is None:
            return ModelStatus(name=self.name, state="unloaded", loaded=0.0)
        return self._loader.status()

    async def memory(self) -> int:
        """About how many bytes it takes, or would take."""
        if self._need is None:
            self._need = await anyio.to_thread.run_sync(self._source.memory)
        loaded = self._loaded_now()
        return self._need if loaded is None else max(self._need, loaded.model.memory)

    def renew(self, source: ModelSource) -> None:
        """Where it is found now, for the next time that it is loaded."""
        self._source, self._need = source, None

    def start(self) -> None:
        """Begin to load, if it is not there."""
        if self.is_present:
            return
        loop = asyncio.get_running_loop()

        def soon(note: Callable[[float], None]) -> None:
            # The loop may have ended before the load, or before a handle that nobody entered.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(note, self._clock())

        on_idle = partial(soon, self._note_use)
        self._loader = ModelLoader(self._source, self._limits, self._metrics, on_idle, self._clock)
        self._loader.start(partial(soon, lambda _: self._on_change()))

    async def loaded(self) -> LoadedModel:
        """Wait until it is there; it must have been started.

        Raises:
            ModelLoadError: it could not be loaded.
        """
        assert self._loader is not None
        return await self._loader.loaded()

    async def unload(self) -> None:
        """Free it, also if the caller leaves meanwhile. Whoever asks for it finds it gone at once."""
        if self._loader is not None:
            loader, self._loader = self._loader, None
            self._freeing = asyncio.create_task(self._free(loader))
        await self.freed()

    async def freed(self) -> None:
        """Wait until what is being freed is free."""
        if self._freeing is not None:
            await asyncio.shield(self._freeing)

    def stop(self) -> None:
        """End all that it runs with what there is, or its loading."""
        if self._loader is not None:
            self._loader.stop()

    async def _free(self, loader: ModelLoader) -> None:
        try:
            await anyio.to_thread.run_sync(loader.close)
        finally:
            self._freeing = None
            self._on_change()

    def _note_use(self, moment: float) -> None:
        self._used = max(self._used, moment)
        self._on_change()

    def _loaded_now(self) -> LoadedModel | None:
        return None if self._loader is None else self._loader.loaded_now
