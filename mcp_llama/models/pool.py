"""ModelPool: the models that requests may name, each loaded while it is used. Event loop only."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio.to_thread

from mcp_llama.api import ModelStatus
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.errors import McpLlamaError, UnknownModelError
from mcp_llama.models.loader import LoadedModel
from mcp_llama.models.pool_metrics import PoolMetrics
from mcp_llama.models.pooled_model import PooledModel
from mcp_llama.models.room import PoolBounds, Room
from mcp_llama.models.source import ModelSource, Supply

logger = logging.getLogger(__name__)

_MAX_ALIASES = 256


class ModelPool:
    """The default model, and others that are loaded when a request names them."""

    def __init__(
        self,
        default: ModelSource,
        limits: EngineLimits | None = None,
        supply: Supply | None = None,
        bounds: PoolBounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.metrics = PoolMetrics()
        self._limits = limits or EngineLimits()
        self._supply = supply
        self._bounds = bounds or PoolBounds()
        self._clock = clock
        self._models: dict[str, PooledModel] = {}
        self._aliases: dict[str, PooledModel] = {}
        self._room = Room(self._models, self._bounds, clock)
        self._default = self._add(default)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False

    @property
    def default(self) -> str:
        """The name of the model for requests that name none."""
        return self._default.name

    def start(self) -> None:
        """Begin to load the default model and those that are pinned; returns at once."""
        if self._tasks or self._stopped:
            return
        self._default.start()
        self._tasks = [asyncio.create_task(self._load_pinned())]
        if self._bounds.idle_s is not None:
            self._tasks.append(asyncio.create_task(self._room.sweep(self._bounds.idle_s)))

    @asynccontextmanager
    async def use(self, name: str | None, *, in_turn: bool = False) -> AsyncGenerator[LoadedModel]:
        """A model that stays while the body runs, and while a handle of its engine is in use.

        `in_turn` lets those go first who wait for the memory of other models; who uses one already must not wait so.

        Raises:
            RequestError: no model has this name, or several could be meant.
            ModelLoadError: it could not be loaded, or needs more memory than models may take.
            UnavailableError: the pool is stopping.
        """
        model = await self._find(name)
        if in_turn:
            await self._room.turn(model)
        with model.held():
            if not model.is_present:
                await self._room.bring(model, at_any_rate=model is self._default)
            yield await model.loaded()

    def status(self, name: str | None = None) -> ModelStatus:
        """How far a model is; one that nobody has asked for is not loaded."""
        model = self._known(name)
        return ModelStatus(name=name or "", state="unloaded", loaded=0.0) if model is None else model.status()

    async def statuses(self) -> list[ModelStatus]:
        """How far all models are, the default one first, then those that are there, then those that may be loaded."""
        names = [name for name, model in self._models.items() if model is self._default or model.is_present]
        if self._supply is not None:
            names += [source.name for source in await anyio.to_thread.run_sync(self._supply.sources)]
        return [self.status(name) for name in dict.fromkeys(names)]

    def stop(self) -> None:
        """Refuse new requests, and end all others with what they have."""
        self._stopped = True
        self._room.stop()
        for model in self._models.values():
            model.stop()

    async def close(self) -> None:
        """Stop, and free all models."""
        self.stop()
        running = [task for task in self._tasks if not task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._room.clear()

    def _add(self, source: ModelSource) -> PooledModel:
        metrics = self.metrics.add(source.name)
        model = PooledModel(source, self._limits, metrics, self._room.note_change, self._clock)
        self._models[source.name] = model
        return model

    def _known(self, name: str | None) -> PooledModel | None:
        return self._default if name is None else self._models.get(name) or self._aliases.get(name)

    async def _find(self, name: str | None) -> PooledModel:
        """The model that a name means; one that is there is found without a look at any file."""
        known = self._known(name)
        if known is not None and (known is self._default or known.is_present):
            return known
        assert name is not None, "the default model is known"
        if self._supply is None:
            raise UnknownModelError(name, [self.default])
        source = await anyio.to_thread.run_sync(self._supply.find, name)
        model = self._models.get(source.name) or self._add(source)
        model.renew(source)
        if len(self._aliases) >= _MAX_ALIASES:
            self._aliases.clear()
        self._aliases[name] = model
        return model

    async def _load_pinned(self) -> None:
        for name in self._bounds.pinned:
            try:
                async with self.use(name):
                    logger.info("%s is ready", name)
            except McpLlamaError as error:
                # The server stays up; it tells whoever asks for this model the same.
                logger.error("%s", error)
