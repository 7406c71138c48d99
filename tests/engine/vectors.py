"""Requests for vectors, and what a FakeModel answers."""

import time

import anyio
import numpy as np

from mcp_llama.engine.embedding import Embedding
from mcp_llama.engine.engine import Engine
from mcp_llama.engine.model import Pooling, Vectors
from tests.gate import PATIENCE_S


def embedding(engine: Engine, *texts: str) -> Embedding:
    """A request that arrives now; the tokens of a text are its bytes."""
    return engine.embed([tuple(text.encode()) for text in texts], time.monotonic())


async def vectors(engine: Engine, *texts: str) -> list[Vectors]:
    """The vectors of texts, soon."""
    async with embedding(engine, *texts) as submitted:
        return await outcome(submitted)


async def outcome(submitted: Embedding) -> list[Vectors]:
    """The vectors of a request that was submitted, soon."""
    with anyio.fail_after(PATIENCE_S):
        return await submitted.result()


def are_those_of(found: list[Vectors], *texts: str, pooling: Pooling = "mean") -> bool:
    """Whether these are the vectors of the texts by a FakeModel."""
    return len(found) == len(texts) and all(
        np.allclose(vector, _by_hand(text, pooling), atol=1e-4) for vector, text in zip(found, texts, strict=True)
    )


def _by_hand(text: str, pooling: Pooling) -> Vectors:
    tokens, positions = np.array(list(text.encode())), np.arange(len(text.encode()))
    each = np.stack([np.sin(tokens + 1), np.cos(tokens + 1), positions], axis=1)
    pooled = {"mean": each.mean(axis=0), "cls": each[0], "last": each[-1]}[pooling]
    return (pooled / np.sqrt((pooled**2).sum())).astype(np.float32)
