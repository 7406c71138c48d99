"""ModelPool: which models are loaded, and which of them leaves when another needs its memory. Event loop only."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import anyio.to_thread

from mcp_llama.api import ModelStatus
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.errors import McpLlamaError, ModelLoadError, UnavailableError, UnknownModelError
from mcp_llama.models.loader import LoadedModel
from mcp_llama.models.pool_metrics import PoolMetrics
from mcp_llama.models.pooled_model import PooledModel
from mcp_llama.models.source import ModelSource, Supply

logger = logging.getLogger(__name__)

_RESTART_S = 5.0
_MAX_ALIASES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolBounds:
    """`memory` is how many bytes all models may take, None for any number. A model that nobody used for `idle_s`
    leaves, None for never. The `pinned` ones are loaded at the start and stay.
    """

    memory: int | None = None
    idle_s: float | None = None
    pinned: tuple[str, ...] = ()


class ModelPool:
    """The default model, and others that are loaded when a request names them."""

    def __init__(
        self,
        default: ModelSource,
        limits: EngineLimits | None = None,
        supply: Supply | None = None,
        bounds: PoolBounds | None = None,
    ) -> None:
        self.metrics = PoolMetrics()
        self._limits = limits or EngineLimits()
        self._supply = supply
        self._bounds = bounds or PoolBounds()
        self._models: dict[str, PooledModel] = {}
        self._aliases: dict[str, PooledModel] = {}
        self._default = self._add(default)
        self._changed = anyio.Event()
        self._moving = anyio.Lock()
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
            self._tasks.append(asyncio.create_task(self._sweep(self._bounds.idle_s)))

    @asynccontextmanager
    async def use(self, name: str | None) -> AsyncGenerator[LoadedModel]:
        """A model that stays while the body runs, and while a handle of its engine is in use.

        Raises:
            RequestError: no model has this name, or several could be meant.
            ModelLoadError: it could not be loaded, or needs more memory than models may take.
            UnavailableError: the pool is stopping.
        """
        model = await self._find(name)
        model.callers += 1
        try:
            if not model.is_present:
                await self._bring(model)
            yield await model.loaded()
        finally:
            model.callers -= 1
            model.note_use()

    def status(self, name: str | None = None) -> ModelStatus:
        """How far a model is; one that nobody has asked for is not loaded."""
        model = self._default if name is None else self._models.get(name) or self._aliases.get(name)
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
        self._note_change()
        for model in self._models.values():
            model.stop()

    async def close(self) -> None:
        """Stop, and free all models."""
        self.stop()
        running = [task for task in self._tasks if not task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        async with self._moving:
            for model in self._models.values():
                await model.unload()

    def _add(self, source: ModelSource) -> PooledModel:
        metrics = self.metrics.add(source.name)
        model = self._models[source.name] = PooledModel(source, self._limits, metrics, self._note_change)
        return model

    async def _find(self, name: str | None) -> PooledModel:
        if name is None:
            return self._default
        if name in self._models:
            return self._models[name]
        if self._supply is None:
            raise UnknownModelError(name, [self.default])
        source = await anyio.to_thread.run_sync(self._supply.find, name)
        model = self._models.get(source.name) or self._add(source)
        if len(self._aliases) >= _MAX_ALIASES:
            self._aliases.clear()
        self._aliases[name] = model
        return model

    async def _bring(self, model: PooledModel) -> None:
        """Load a model once there is room for it."""
        async with self._moving:
            if model.is_present:
                return
            if self._stopped:
                raise _stopping_error()
            await self._make_room(model)
            model.start()

    async def _make_room(self, model: PooledModel) -> None:
        """Unload those that were not used for longest, or wait until one can be.

        Raises:
            ModelLoadError: there would not even be room beside the pinned ones.
        """
        if self._bounds.memory is None:
            return
        needed = await model.memory()
        while not self._stopped:
            changed = self._changed
            taken = {other: await other.memory() for other in self._present(model)}
            lasting = sum(size for other, size in taken.items() if self._is_pinned(other))
            if needed + lasting > self._bounds.memory:
                raise _too_large(model.name, needed, lasting, self._bounds.memory)
            if needed + sum(taken.values()) <= self._bounds.memory:
                return
            leaving = [other for other in taken if other.is_idle and not self._is_pinned(other)]
            if leaving:
                await self._unload(min(leaving, key=lambda other: other.last_used), f"{model.name} needs its memory")
            else:
                await changed.wait()
        raise _stopping_error()

    def _present(self, besides: PooledModel) -> list[PooledModel]:
        return [model for model in self._models.values() if model.is_present and model is not besides]

    async def _unload(self, model: PooledModel, reason: str) -> None:
        logger.info("Unloading %s: %s", model.name, reason)
        await model.unload()

    def _is_pinned(self, model: PooledModel) -> bool:
        return model.name in self._bounds.pinned

    async def _load_pinned(self) -> None:
        for name in self._bounds.pinned:
            try:
                async with self.use(name):
                    logger.info("%s is ready", name)
            except McpLlamaError as error:
                # The server stays up; it tells whoever asks for this model the same.
                logger.error("%s", error)

    async def _sweep(self, idle_s: float) -> None:
        """Unload what nobody has used for so many seconds."""
        while True:
            changed, now = self._changed, time.monotonic()
            idle = [model for model in self._models.values() if model.is_idle and not self._is_pinned(model)]
            over = [model for model in idle if now - model.last_used >= idle_s]
            for model in over:
                async with self._moving:
                    if model.is_idle and time.monotonic() - model.last_used >= idle_s:
                        await self._unload(model, f"nobody used it for {idle_s:g} s")
            left = [model.last_used + idle_s - now for model in idle if model not in over]
            with anyio.move_on_after(min(left, default=None)):
                await changed.wait()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _stopping_error() -> UnavailableError:
    return UnavailableError("the server is stopping", _RESTART_S)


def _too_large(name: str, needed: int, pinned: int, memory: int) -> ModelLoadError:
    beside = f", of which pinned models take {pinned / 2**30:.1f}" if pinned else ""
    return ModelLoadError(
        f"{name} needs about {needed / 2**30:.1f} GiB, but models may take {memory / 2**30:.1f} GiB{beside}. "
        "Raise --memory-budget, lower --n-ctx or --n-slots, or use a smaller model."
    )
