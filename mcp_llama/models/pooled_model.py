"""PooledModel: one model of the pool, loaded or not, and who uses it. Event loop only."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import anyio.to_thread

from mcp_llama.api import ModelStatus
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.metrics import EngineMetrics
from mcp_llama.models.loader import LoadedModel, ModelLoader
from mcp_llama.models.source import ModelSource


class PooledModel:
    """A model that comes and goes; what is counted of it stays. `on_change` is called when it may have become idle.

    `callers` are those who wait for it or prepare a request. `last_used` is in `time.monotonic()` seconds.
    """

    def __init__(
        self, source: ModelSource, limits: EngineLimits, metrics: EngineMetrics, on_change: Callable[[], None]
    ) -> None:
        self.source = source
        self.metrics = metrics
        self.callers = 0
        self.last_used = time.monotonic()
        self._limits = limits
        self._on_change = on_change
        self._loader: ModelLoader | None = None
        self._estimate: int | None = None

    @property
    def name(self) -> str:
        """What it is served under."""
        return self.source.name

    @property
    def is_present(self) -> bool:
        """Whether it is loaded, or being loaded."""
        return self._loader is not None and not self._loader.has_failed

    @property
    def is_idle(self) -> bool:
        """Whether it is loaded and nobody uses it."""
        loaded = self._loaded_now()
        return loaded is not None and not self.callers and loaded.engine.is_idle

    def status(self) -> ModelStatus:
        """How far it is."""
        if self._loader is None:
            return ModelStatus(name=self.name, state="unloaded", loaded=0.0)
        return self._loader.status()

    async def memory(self) -> int:
        """The bytes that it takes, or about what it would take."""
        loaded = self._loaded_now()
        if loaded is not None:
            return loaded.model.memory
        if self._estimate is None:
            self._estimate = await anyio.to_thread.run_sync(self.source.memory)
        return self._estimate

    def start(self) -> None:
        """Begin to load, if it is not there."""
        if self.is_present:
            return
        loop = asyncio.get_running_loop()

        def on_end() -> None:
            # The loop may have ended before the load.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._on_change)

        self._loader = ModelLoader(self.source, self._limits, self.metrics, self.note_use)
        self._loader.start(on_end)

    async def loaded(self) -> LoadedModel:
        """Wait until it is there; it must have been started.

        Raises:
            ModelLoadError: it could not be loaded.
        """
        assert self._loader is not None
        return await self._loader.loaded()

    async def unload(self) -> None:
        """Free it. Whoever asks for it meanwhile finds it gone."""
        loader, self._loader = self._loader, None
        if loader is not None:
            await anyio.to_thread.run_sync(loader.close)

    def stop(self) -> None:
        """End all that it runs with what there is, or its loading."""
        if self._loader is not None:
            self._loader.stop()

    def note_use(self) -> None:
        """It was used until now."""
        self.last_used = time.monotonic()
        self._on_change()

    def _loaded_now(self) -> LoadedModel | None:
        return None if self._loader is None else self._loader.loaded_now
