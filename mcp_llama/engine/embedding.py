"""Embedding: texts on their way to vectors. The handle is the caller's end, the job the engine's."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from mcp_llama.engine.model import Pooling, Vectors

if TYPE_CHECKING:
    from mcp_llama.engine.engine import Engine


class EmbedJob:
    """Texts, of which one is being computed. Engine thread only."""

    def __init__(self, texts: Sequence[Sequence[int]], pooling: Pooling) -> None:
        self._texts = texts
        self._pooling: Pooling = pooling
        self._parts: list[Vectors] = []
        self._position = 0
        self.vectors: list[Vectors] = []
        """Those of the texts that are done, of length 1."""

    @property
    def is_done(self) -> bool:
        """Whether every text has its vector."""
        return len(self.vectors) == len(self._texts)

    @property
    def is_between_texts(self) -> bool:
        """Whether no text is half computed."""
        return self._position == 0

    def next_tokens(self, count: int) -> tuple[Sequence[int], int]:
        """At most `count` tokens to compute next, and the position of the first one in its text."""
        text = self._texts[len(self.vectors)]
        return text[self._position : self._position + count], self._position

    def add(self, vectors: Vectors) -> None:
        """Take the vectors of the tokens that `next_tokens` gave, shape (tokens, n_embd)."""
        # Of each part a row is enough: the first, the last, or the sum.
        self._parts.append(vectors.sum(axis=0) if self._pooling == "mean" else vectors[_row(self._pooling)].copy())
        self._position += len(vectors)
        if self._position == len(self._texts[len(self.vectors)]):
            pooled = np.sum(self._parts, axis=0) if self._pooling == "mean" else self._parts[_row(self._pooling)]
            norm = float(np.linalg.norm(pooled))
            self.vectors.append(pooled / norm if norm else pooled)
            self.restart_text()

    def restart_text(self) -> None:
        """Forget what is known of the text that is not done yet."""
        self._parts = []
        self._position = 0


def _row(pooling: Pooling) -> int:
    return 0 if pooling == "cls" else -1


class Embedding:
    """A request for vectors from submission to result. Entering submits it, leaving aborts it. Event loop only."""

    def __init__(self, engine: "Engine", texts: Sequence[Sequence[int]], job: EmbedJob, arrival: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.tokens = sum(map(len, texts))
        self.arrival = arrival
        self.job = job
        self._engine = engine
        self._result: asyncio.Future[list[Vectors]] = self.loop.create_future()

    async def __aenter__(self) -> Self:
        """Submit the request.

        Raises:
            BusyError: the queue is full.
            UnavailableError: the engine is stopping.
        """
        try:
            self._engine.submit_embedding(self)
        except BaseException:
            self._engine.leave(self)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._result.cancel() or self._result.cancelled():
            self._engine.abort_embedding(self)
        else:
            # asyncio complains of an exception that nobody has looked at.
            self._result.exception()
        self._engine.leave(self)

    async def result(self) -> list[Vectors]:
        """A vector of length 1 for each text, shape (n_embd,).

        Raises:
            EngineError: llama.cpp failed.
            UnavailableError: the engine is stopping.
        """
        return await self._result

    def put(self, outcome: list[Vectors] | Exception) -> None:
        """Deliver the outcome."""
        if self._result.done():
            return
        if isinstance(outcome, Exception):
            self._result.set_exception(outcome)
        else:
            self._result.set_result(outcome)
