"""Room: the memory that models share, and which of them leaves when another needs it. Event loop only."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import anyio

from mcp_llama.errors import ModelLoadError, UnavailableError
from mcp_llama.models.pooled_model import PooledModel

logger = logging.getLogger(__name__)

_RESTART_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolBounds:
    """`memory` is how many bytes all models may take, None for any number. A model that nobody used for `idle_s`
    leaves, None for never. The `pinned` ones are loaded at the start and stay.
    """

    memory: int | None = None
    idle_s: float | None = None
    pinned: tuple[str, ...] = ()


class Room:
    """Loads and unloads `models`. Those who wait for room get it in the order in which they came."""

    def __init__(self, models: Mapping[str, PooledModel], bounds: PoolBounds, clock: Callable[[], float]) -> None:
        self._models = models
        self._bounds = bounds
        self._clock = clock
        self._moving = anyio.Lock()
        self._is_awaited = False
        self._coming: set[PooledModel] = set()
        self._changed = anyio.Event()
        self._stopped = False

    async def turn(self, model: PooledModel) -> None:
        """Let those who came before have their room, so that a model in steady use gives way to others at last."""
        if self._is_awaited and model.is_present and not self._is_pinned(model):
            async with self._moving:
                pass

    async def bring(self, model: PooledModel, *, at_any_rate: bool) -> None:
        """Load a model once there is room for it; if `at_any_rate`, then also one that takes more than all may.

        Raises:
            ModelLoadError: there would not even be room beside the pinned ones.
            UnavailableError: the pool is stopping.
        """
        self._refuse_if_stopped()
        # In the queue, each model has one place: nobody may keep it who waits behind those that wait for its end.
        while model in self._coming:
            await self._changed.wait()
            self._refuse_if_stopped()
        if model.is_present:
            return
        self._coming.add(model)
        try:
            await self._load(model, at_any_rate)
        finally:
            self._coming.discard(model)
            self.note_change()

    async def sweep(self, idle_s: float) -> None:
        """Unload what nobody has used for so many seconds; never ends."""
        while True:
            changed, now = self._changed, self._clock()
            left = [model.last_used + idle_s - now for model in self._models.values() if self._may_leave(model)]
            if left and min(left) <= 0:
                await self._unload_unused(idle_s)
                continue
            with anyio.move_on_after(min(left, default=None)):
                await changed.wait()

    def note_change(self) -> None:
        """A model may have become idle, or is gone."""
        self._changed.set()
        self._changed = anyio.Event()

    def stop(self) -> None:
        """Load nothing more."""
        self._stopped = True
        self.note_change()

    async def clear(self) -> None:
        """Free all models."""
        for model in tuple(self._models.values()):
            await model.unload()

    async def _load(self, model: PooledModel, at_any_rate: bool) -> None:
        async with self._moving:
            await model.freed()
            await self._make_room(model, at_any_rate)
            self._refuse_if_stopped()
            model.start()

    async def _make_room(self, model: PooledModel, at_any_rate: bool) -> None:
        """Unload those that were not used for longest, or wait until one can be, or the pool stops."""
        if self._bounds.memory is None:
            return
        needed = await model.memory()
        while not self._stopped:
            changed = self._changed
            taken = {other: await other.memory() for other in tuple(self._models.values()) if other.takes_memory}
            lasting = sum(size for other, size in taken.items() if self._is_pinned(other))
            most = max(self._bounds.memory, needed + lasting if at_any_rate else 0)
            if needed + lasting > most:
                raise _too_large(model.name, needed, lasting, most)
            if needed + sum(taken.values()) <= most:
                return
            idle = [other for other in taken if self._may_leave(other)]
            if idle:
                leaving = min(idle, key=lambda other: other.last_used)
                logger.info("Unloading %s: %s needs its memory", leaving.name, model.name)
                await leaving.unload()
            else:
                await self._wait(changed)

    async def _wait(self, changed: anyio.Event) -> None:
        self._is_awaited = True
        try:
            await changed.wait()
        finally:
            self._is_awaited = False

    async def _unload_unused(self, idle_s: float) -> None:
        for model in tuple(self._models.values()):
            if self._may_leave(model) and self._clock() - model.last_used >= idle_s:
                logger.info("Unloading %s: nobody used it for %g s", model.name, idle_s)
                await model.unload()

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise UnavailableError("the server is stopping", _RESTART_S)

    def _may_leave(self, model: PooledModel) -> bool:
        return model.is_idle and not self._is_pinned(model)

    def _is_pinned(self, model: PooledModel) -> bool:
        return model.name in self._bounds.pinned


def _too_large(name: str, needed: int, pinned: int, memory: int) -> ModelLoadError:
    beside = f", of which pinned models take {pinned / 2**30:.1f}" if pinned else ""
    return ModelLoadError(
        f"{name} needs about {needed / 2**30:.1f} GiB, but models may take {memory / 2**30:.1f} GiB{beside}. "
        "Raise --memory-budget, lower --n-ctx or --n-slots, or use a smaller model."
    )
