"""Engine: the thread that owns a model, and the inbox through which the event loop reaches it."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as Texts
from functools import partial
from weakref import ref

from mcp_llama.engine.contents import EMPTY, Contents
from mcp_llama.engine.embed_loop import EmbedLoop
from mcp_llama.engine.embedding import Embedding, EmbedJob
from mcp_llama.engine.generation import Generation, Reader
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.metrics import EngineMetrics
from mcp_llama.engine.model import Model
from mcp_llama.engine.queue import QueueBounds
from mcp_llama.engine.sequence import Sequence
from mcp_llama.engine.token_loop import TokenLoop
from mcp_llama.engine.types import TokenRequest
from mcp_llama.errors import BusyError, ContextLengthError, EngineError, RequestError, UnavailableError

logger = logging.getLogger(__name__)

_RESTART_S = 5.0


class Engine:
    """Runs every request of one model, many at a time.

    The public methods are for the event loop: they leave notes in the inbox and wake the thread. The model, and all
    that the token loop holds, belong to the thread. `on_idle` is called when the last handle is left, or was dropped
    before it was entered, which may be on any thread.
    """

    def __init__(
        self,
        model: Model,
        limits: EngineLimits | None = None,
        metrics: EngineMetrics | None = None,
        contents: Contents = EMPTY,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        limits = limits or EngineLimits()
        self._metrics = metrics or EngineMetrics()
        self.n_ctx = model.n_ctx
        self.n_slots = model.n_slots
        self.max_requests = model.n_slots + limits.max_queue
        self._model = model
        self._queue = QueueBounds(model.n_slots, limits.max_queue, limits.max_queue_tokens)
        self._token_loop = TokenLoop(model, limits, self._queue, self._metrics, contents)
        self._embed_loop = EmbedLoop(model, self._queue)
        self._on_idle = on_idle
        self._handles: set[ref[Generation | Embedding]] = set()
        self._inbox: deque[Callable[[], None]] = deque()
        self._wakeup = threading.Event()
        self._stopping = False
        self._closing = False
        self._kept = False
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def generate(self, request: TokenRequest, reader: Reader | None = None) -> Generation:
        """A handle for the request; entering it starts the work. `reader` is for what the handle gives.

        Raises:
            RequestError: the prompt is empty or `max_tokens` is not positive.
            ContextLengthError: prompt and completion do not fit one sequence.
        """
        if not request.prompt:
            raise RequestError("The prompt is empty. Send at least one token.")
        if request.max_tokens < 1:
            raise RequestError(f"max_tokens is {request.max_tokens}, but it must be at least 1.")
        if len(request.prompt) + request.max_tokens > self.n_ctx:
            raise ContextLengthError(len(request.prompt), request.max_tokens, self.n_ctx)
        generation = Generation(self, request, reader)
        self._handles.add(ref(generation, self._forget))
        return generation

    def embed(self, texts: Texts[Texts[int]], arrival: float) -> Embedding:
        """A handle for the vectors of these texts; entering it starts the work.

        Raises:
            RequestError: there is no text, or an empty one.
            ContextLengthError: a text does not fit the context.
        """
        if not texts or not all(texts):
            raise RequestError("The input is empty. Send at least one token for each text.")
        longest = max(map(len, texts))
        if longest > self.n_ctx:
            raise ContextLengthError(longest, 0, self.n_ctx)
        embedding = Embedding(self, texts, EmbedJob(texts, self._model.pooling), arrival)
        self._handles.add(ref(embedding, self._forget))
        return embedding

    @property
    def is_idle(self) -> bool:
        """Whether no handle is in use, not even one that has not been entered yet."""
        return not self._handles

    def leave(self, handle: Generation | Embedding) -> None:
        """A handle is not used any more."""
        self._forget(ref(handle))

    @property
    def failure(self) -> str | None:
        """Why the engine broke down, or None while it runs."""
        return self._failure

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence.

        Raises:
            BusyError: the queue is full.
            UnavailableError: the engine is stopping.
            EngineError: the engine broke down earlier.
        """
        self._submit(len(sequence.request.prompt), partial(self._token_loop.add, sequence))

    def abort(self, sequence: Sequence) -> None:
        """End a sequence, whatever state it is in; nothing happens if it has ended."""
        self._inbox.append(partial(self._token_loop.abort, sequence))
        if sequence in self._token_loop.in_prefill:
            self._model.abort()
        self.wake()

    def submit_embedding(self, embedding: Embedding) -> None:
        """Queue a request for vectors; raises as `submit` does."""
        self._submit(embedding.tokens, partial(self._embed_loop.add, embedding))

    def abort_embedding(self, embedding: Embedding) -> None:
        """Forget a request for vectors; nothing happens if it has ended."""
        self._inbox.append(partial(self._embed_loop.abort, embedding))
        if embedding is self._embed_loop.running:
            self._model.abort()
        self.wake()

    def wake(self) -> None:
        """Make the thread look at its inbox and at the paused sequences."""
        self._wakeup.set()

    def stop(self) -> None:
        """Refuse new requests and end all others with what they have so far."""
        self._stopping = True
        self._model.abort()
        self.wake()

    def close(self) -> None:
        """Stop, wait for the thread to end and free the model."""
        self._closing = True
        self.stop()
        self._thread.join()

    def _forget(self, handle: "ref[Generation | Embedding]") -> None:
        self._handles.discard(handle)
        if not self._handles:
            self._on_idle()

    def _submit(self, tokens: int, add: Callable[[], None]) -> None:
        self._refuse_if_broken()
        if self._stopping:
            raise _stopping_error()
        try:
            self._queue.enter(tokens)
        except BusyError:
            self._metrics.refused()
            raise
        self._inbox.append(add)
        self.wake()
        # The thread may have broken down, and read its inbox for the last time, since the first look.
        self._refuse_if_broken()

    def _refuse_if_broken(self) -> None:
        if self._failure is not None:
            raise EngineError(self._failure)

    def _run(self) -> None:
        try:
            while not self._closing:
                self._turn()
            self._end_all()
        except Exception:
            # The thread is every caller's only source of an answer: a defect must end their calls, not hang them.
            logger.exception("The engine thread failed")
            self._failure = "The engine failed. Its log has the details; restart the server."
        finally:
            self._read_inbox()
            self._abort_all(self._failure)
            self._metrics.watch_nothing()
            self._model.close()

    def _turn(self) -> None:
        # Both are cleared before the inbox is read: a note that comes later sets them again.
        self._wakeup.clear()
        self._model.clear_abort()
        self._read_inbox()
        if self._stopping:
            self._end_all()
        busy = self._token_loop.step()
        busy = self._embed_loop.step() or busy
        if not busy and not self._closing:
            self._wakeup.wait(self._token_loop.idle_timeout())

    def _end_all(self) -> None:
        """End what runs, and keep what it computed, while those who stopped the engine get their answers."""
        self._abort_all()
        if not self._kept:
            self._kept = True
            self._token_loop.keep()

    def _abort_all(self, failure: str | None = None) -> None:
        self._token_loop.abort_all(failure)
        self._embed_loop.abort_all(EngineError(failure) if failure else _stopping_error())

    def _read_inbox(self) -> None:
        while self._inbox:
            self._inbox.popleft()()


def _stopping_error() -> UnavailableError:
    return UnavailableError("the server is stopping", _RESTART_S)
