"""ModelLoader: one model, loaded in the background, with its engine."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import cached_property

from mcp_llama.api import ModelCard, ModelStatus
from mcp_llama.chat.template import ChatTemplate
from mcp_llama.engine.constraint import Constraints
from mcp_llama.engine.contents import EMPTY, Contents
from mcp_llama.engine.engine import Engine
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.metrics import EngineMetrics
from mcp_llama.engine.model import DecodeAbortedError
from mcp_llama.errors import LoadStoppedError, McpLlamaError, ModelLoadError, RequestError
from mcp_llama.models.loadable import LoadableModel
from mcp_llama.models.source import ModelSource


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready, and its engine."""

    name: str
    model: LoadableModel
    engine: Engine

    @cached_property
    def chat_template(self) -> ChatTemplate:
        """The model's template.

        Raises:
            RequestError: the model has none, or it is broken.
        """
        if self.model.chat_template is None:
            raise RequestError(f"Model {self.name!r} has no chat template. Use the tool generate with a plain prompt.")
        return ChatTemplate(self.model.chat_template, bos_text=self.model.bos_text, eos_text=self.model.eos_text)

    @cached_property
    def constraints(self) -> Constraints:
        """What compiles grammars for this model. The first use takes the whole vocabulary in."""
        return Constraints(self.model.grammar_tokenizer(), tuple(text.encode() for text in self.model.visible_tokens))

    def card(self) -> ModelCard:
        """What is known of the model."""
        model = self.model
        return ModelCard(
            name=self.name,
            quantisation=model.description.split(" ", 2)[-1],
            architecture=model.metadata.get("general.architecture", "unknown"),
            parameters=model.n_params,
            size=model.size,
            n_ctx_train=model.n_ctx_train,
            n_ctx=model.n_ctx,
            n_slots=model.n_slots,
            max_requests=self.engine.max_requests,
            license=model.metadata.get("general.license"),
            chat_template=model.chat_template,
        )


class ModelLoader:
    """Loads one model on a thread of its own. Any number of callers wait for the same load.

    `on_idle` is called when the last request of the model has ended, which may be on any thread.
    """

    def __init__(
        self,
        source: ModelSource,
        limits: EngineLimits,
        metrics: EngineMetrics | None = None,
        on_idle: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._limits = limits
        self._metrics = metrics or EngineMetrics()
        self._on_idle = on_idle
        self._clock = clock
        self.ended: float | None = None
        """When the model was there, in the seconds of `clock`."""
        self._preparing: LoadableModel | None = None
        self._share = 0.0
        self._stopped = False
        self._future: Future[LoadedModel] = Future()
        self._thread = threading.Thread(target=self._run, name="model-loader", daemon=True)

    @property
    def loaded_now(self) -> LoadedModel | None:
        """The model, if it is loaded."""
        return self._future.result() if self._future.done() and self._future.exception() is None else None

    @property
    def has_failed(self) -> bool:
        """Whether it could not be loaded."""
        return self._future.done() and self._future.exception() is not None

    def start(self, on_end: Callable[[], None] | None = None) -> None:
        """Begin to load, once; further calls do nothing.

        `on_end` is called on the loader's thread when the model is there, or has failed.
        """
        if self._thread.is_alive() or self._future.done():
            return
        if on_end is not None:
            self._future.add_done_callback(lambda _: on_end())
        self._thread.start()

    async def loaded(self) -> LoadedModel:
        """Wait for the model.

        Raises:
            ModelLoadError: it could not be loaded.
        """
        if not self._future.done():
            loop, done = asyncio.get_running_loop(), asyncio.Event()

            def wake(_: Future[LoadedModel]) -> None:
                # A waiter that left may have taken its loop with it.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(done.set)

            self._future.add_done_callback(wake)
            await done.wait()
        error = self._future.exception()
        if error is not None:
            # A copy each time: an exception that is raised again keeps every frame it has passed through.
            raise copy(error)
        return self._future.result()

    def status(self) -> ModelStatus:
        """How far it is."""
        name = self._source.name
        if not self._future.done():
            return ModelStatus(name=name, state="loading", loaded=self._share)
        error = self._future.exception()
        if error is not None:
            return ModelStatus(name=name, state="failed", loaded=self._share, error=str(error))
        loaded = self._future.result()
        if loaded.engine.failure is not None:
            return ModelStatus(name=name, state="failed", loaded=1.0, error=loaded.engine.failure)
        return ModelStatus(name=name, state="ready", loaded=1.0, card=loaded.card())

    def stop(self) -> None:
        """End all generations with what they have, or a load that is running."""
        self._stopped = True
        preparing = self._preparing
        if preparing is not None:
            preparing.abort()
        if self.loaded_now is not None:
            self.loaded_now.engine.stop()

    def close(self) -> None:
        """Free the model. Blocks until a running load or decode has given up."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join()
        if self.loaded_now is not None:
            self.loaded_now.engine.close()

    def _run(self) -> None:
        name = self._source.name
        try:
            model = self._source.load(self._report)
            engine = Engine(model, self._limits, self._metrics, self._contents(model), self._on_idle)
            if self._stopped:
                engine.stop()
            self.ended = self._clock()
            self._future.set_result(LoadedModel(name, model, engine))
        except (McpLlamaError, DecodeAbortedError) as error:
            stopped = LoadStoppedError(f"Loading {name} was stopped: the server is shutting down.")
            self._future.set_exception(stopped if self._stopped else error)
        except Exception as error:
            # Whatever a native loader raises must reach the callers that wait, not die with the thread.
            self._future.set_exception(ModelLoadError(f"Loading {name} failed: {error}"))

    def _contents(self, model: LoadableModel) -> Contents:
        """What the prepared model holds; it is freed if that fails."""
        if self._source.prepare is None:
            return EMPTY
        self._preparing = model
        try:
            return self._source.prepare(model, lambda: not self._stopped)
        except BaseException:
            model.close()
            raise
        finally:
            self._preparing = None

    def _report(self, share: float) -> bool:
        self._share = share
        return not self._stopped
