"""Stage: the inside of a server under test, for the test to hold, let go and look at."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self, cast

from mcp_llama.api import ChatRequest, FinishReason, GenerateRequest
from mcp_llama.backends.local import LocalBackend
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.model import Rows
from mcp_llama.engine.types import TokenDelta
from mcp_llama.errors import ModelLoadError
from tests.backends.one_model import pool_of
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S
from tests.server.scene import MODEL_NAME, Scene

_QUIET_S = 0.5
ENGINE_LOGGER = logging.getLogger("mcp_llama.engine")


@dataclass(frozen=True)
class End:
    """How a sequence ended, in the engine's own view."""

    reason: FinishReason
    completion_tokens: int


class WatchedBackend(LocalBackend):
    """A LocalBackend that tells of every generation when it is made, when its caller leaves it and when it ends."""

    def __init__(self, stage: "Stage") -> None:
        super().__init__(pool_of(MODEL_NAME, stage.load, stage.scene.engine))
        self._stage = stage

    @asynccontextmanager
    async def hold(self, model: str | None) -> AsyncGenerator[str]:
        """The same, watched."""
        self._stage.note_waiters(1)
        try:
            async with super().hold(model) as name:
                yield name
        finally:
            self._stage.note_waiters(-1)

    async def generate(self, request: GenerateRequest) -> Generation:
        """The same, watched."""
        return self._watched(await super().generate(request))

    async def chat(self, request: ChatRequest) -> Generation:
        """The same, watched."""
        return self._watched(await super().chat(request))

    def _watched(self, generation: Generation) -> Generation:
        stop = generation.stop

        def watched_stop() -> None:
            stop()
            self._stage.note_stop()

        take = generation.next

        async def watched_next(timeout: float | None = None) -> TokenDelta | None:
            delta = await take(timeout)
            self._stage.note_taken()
            return delta

        self._stage.note_made(generation)
        generation.stop = watched_stop
        generation.next = watched_next
        return generation


class EndLog(logging.Handler):
    """Reads in the engine's log, the one place that tells at once, how sequences end."""

    def __init__(self, note: Callable[[End], None]) -> None:
        super().__init__()
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        """Note an end."""
        if record.msg.startswith("finish="):
            assert isinstance(record.args, tuple)
            reason, _, _, completion_tokens, *_ = cast(tuple[FinishReason, int, int, int], record.args)
            self._note(End(reason, completion_tokens))


class Stage:
    """The model and the backend of a server. Any thread; every wait is bounded, and fails the test when it is over."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.model: FakeModel = scene.model()
        self.backend = WatchedBackend(self)
        self._close_model = self.model.close
        self.model.close = self._note_close
        self._changed = threading.Condition()
        self._ends: list[End] = []
        self._generations: list[Generation] = []
        self._stops = 0
        self._waiters = 0
        self._log = EndLog(self.note_end)
        if scene.one_by_one:
            self.model.fault = self._wait_for_readers
        self._may_load = threading.Event()
        if not scene.holds_load:
            self._may_load.set()

    def __enter__(self) -> Self:
        ENGINE_LOGGER.setLevel(logging.INFO)
        ENGINE_LOGGER.addHandler(self._log)
        return self

    def __exit__(self, *_: object) -> None:
        ENGINE_LOGGER.removeHandler(self._log)
        ENGINE_LOGGER.setLevel(logging.NOTSET)

    def load(self, report: Callable[[float], bool]) -> FakeModel:
        """What the backend calls to load."""
        if self.scene.prints:
            print('{"printed": "by Python"}', flush=True)  # noqa: T201
            os.write(1, b"written by native code\n")
        report(0.5)
        while not self._may_load.wait(0.005):
            if not report(0.5):
                raise ModelLoadError("stopped")
        if self.scene.load_error is not None:
            raise ModelLoadError(self.scene.load_error)
        return self.model

    def finish_load(self) -> None:
        """Let the load end."""
        self._may_load.set()

    def shut(self) -> None:
        """Hold every decode from now on."""
        self.model.gate.shut()

    def open(self) -> None:
        """Let all decodes go."""
        self.model.gate.open()

    def step(self) -> None:
        """Let the held decode go."""
        self.model.gate.step()

    def held(self) -> None:
        """Wait until a decode is held."""
        asyncio.run(self.model.gate.held())

    def decodes(self) -> int:
        """How many decodes began."""
        return len(self.model.batches)

    def quiet(self) -> None:
        """Wait until the engine has computed nothing for a while, because nobody reads what it has."""
        deadline = time.monotonic() + PATIENCE_S
        before = -1
        while self.decodes() != before:
            assert time.monotonic() < deadline, "the engine goes on"
            before = self.decodes()
            time.sleep(_QUIET_S)

    def last_rows(self) -> dict[int, int]:
        """How many rows of each slot are in the last decode that began."""
        slots = self.model.batches[-1].slots
        return {slot: slots.count(slot) for slot in set(slots)}

    def running(self) -> int:
        """How many sequences have a slot."""
        return self.model.open_samplers

    def made(self, count: int) -> None:
        """Wait until so many generations are made, whatever becomes of them."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self._generations) >= count, PATIENCE_S)
            assert enough, f"{len(self._generations)} of {count} generations were made"

    def open_constraints(self) -> int:
        """How many of the generations that were made have a matcher that is not freed."""
        constraints = [generation.request.constraint for generation in self._generations]
        return sum(constraint is not None and not constraint.is_closed for constraint in constraints)

    def ended(self, count: int) -> list[End]:
        """Wait until so many sequences have ended; how they did, in order."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self._ends) >= count, PATIENCE_S)
            assert enough, f"{len(self._ends)} of {count} sequences have ended"
            return list(self._ends)

    def stopped(self, count: int) -> None:
        """Wait until the callers of so many generations have left them."""
        with self._changed:
            enough = self._changed.wait_for(lambda: self._stops >= count, PATIENCE_S)
            assert enough, f"{self._stops} of {count} generations were stopped"

    def awaited(self) -> None:
        """Wait until a call waits for the model."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._waiters, PATIENCE_S), "no call waits"

    def deserted(self) -> None:
        """Wait until no call waits for the model."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._waiters, PATIENCE_S), f"{self._waiters} calls still wait"

    def closed(self) -> None:
        """Wait until the model is freed, which is the last thing that a server does."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.model.closed, PATIENCE_S), "the model is still there"

    def _wait_for_readers(self, _: Rows) -> None:
        generations = [each for each in self._generations if each.request.streamed]
        with self._changed:
            taken = self._changed.wait_for(
                lambda: all(each.taken_tokens == each.sequence.completion_tokens for each in generations), PATIENCE_S
            )
        assert taken, "a reader does not come back"

    def _note_close(self) -> None:
        with self._changed:
            self._close_model()
            self._changed.notify_all()

    def note_waiters(self, change: int) -> None:
        """A call waits for the model, or no longer."""
        with self._changed:
            self._waiters += change
            self._changed.notify_all()

    def note_made(self, generation: Generation) -> None:
        """A generation was made, with its sequence, which the engine's thread may look at from now on."""
        assert not generation.sequence.completion_tokens
        with self._changed:
            self._generations.append(generation)
            self._changed.notify_all()

    def note_taken(self) -> None:
        """A reader took a delta."""
        with self._changed:
            self._changed.notify_all()

    def note_end(self, end: End) -> None:
        """A sequence ended."""
        with self._changed:
            self._ends.append(end)
            self._changed.notify_all()

    def note_stop(self) -> None:
        """The caller of a generation left it."""
        with self._changed:
            self._stops += 1
            self._changed.notify_all()
