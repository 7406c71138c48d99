"""EmbedLoop: computes the vectors of texts, a batch at a time. Engine thread only, except `running`."""

import logging
import time
from collections import deque
from contextlib import suppress

from mcp_llama.engine.embedding import Embedding
from mcp_llama.engine.model import EMBED_ROWS, DecodeAbortedError, DecodeError, Model, Vectors
from mcp_llama.engine.queue import QueueBounds
from mcp_llama.errors import EngineError

logger = logging.getLogger(__name__)


class EmbedLoop:
    """The requests for vectors of one model. They take turns, a text each.

    `running` is the one in the decode that is running; any thread may read it.
    """

    def __init__(self, model: Model, queue: QueueBounds) -> None:
        self.running: Embedding | None = None
        self._model = model
        self._queue = queue
        self._waiting: deque[Embedding] = deque()

    def add(self, embedding: Embedding) -> None:
        """Queue a request."""
        self._waiting.append(embedding)

    def abort(self, embedding: Embedding) -> None:
        """Forget a request; nothing happens if it has ended."""
        if embedding in self._waiting:
            embedding.job.restart_text()
            self._remove(embedding)

    def abort_all(self, error: Exception) -> None:
        """End every request with an error."""
        while self._waiting:
            self._finish(self._waiting[0], error)

    def step(self) -> bool:
        """Compute at most a batch; returns whether there was anything to compute."""
        if not self._waiting:
            return False
        embedding = self._waiting[0]
        tokens, position = embedding.job.next_tokens(EMBED_ROWS)
        self.running = embedding
        try:
            embedding.job.add(self._model.embed(tokens, position))
        except DecodeAbortedError:
            embedding.job.restart_text()
        except DecodeError as error:
            logger.error("A text could not be computed: %s", error)
            self._finish(embedding, EngineError(f"llama.cpp could not compute this text: {error}"))
            return True
        finally:
            self.running = None
        if embedding.job.is_done:
            self._finish(embedding, embedding.job.vectors)
        elif embedding.job.is_between_texts:
            self._waiting.rotate(-1)
        return True

    def _finish(self, embedding: Embedding, outcome: list[Vectors] | Exception) -> None:
        self._remove(embedding)
        # The loop is closed, and its reader is gone with it.
        with suppress(RuntimeError):
            embedding.loop.call_soon_threadsafe(embedding.put, outcome)

    def _remove(self, embedding: Embedding) -> None:
        self._waiting.remove(embedding)
        # Its tokens count as waiting to the end: texts have no slots to wait for.
        self._queue.admitted(embedding.tokens)
        self._queue.leave(time.monotonic() - embedding.arrival)
