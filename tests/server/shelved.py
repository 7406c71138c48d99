"""Servers of several fake models."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from mcp_llama.backends.local import LocalBackend
from mcp_llama.models.pool import ModelPool
from mcp_llama.models.room import PoolBounds
from mcp_llama.server.settings import ServerLimits
from tests.models.pools import Shelf
from tests.server.serving import serving

SMALL = "small"
TALKER = "acme/Talker-GGUF:Q4_0"
SINGER = "acme/Singer"

Body = dict[str, Any]

ROUTES: Mapping[str, Body] = {
    "/generate": {"prompt": "hi"},
    "/generate/stream": {"prompt": "hi"},
    "/v1/completions": {"prompt": "hi"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/embeddings": {"input": "hi"},
    "/tokenize": {"content": "hi"},
    "/detokenize": {"tokens": [104, 105]},
    "/apply-template": {"messages": [{"role": "user", "content": "hi"}]},
}
"""Every route that takes a model, and a body for it."""


def shelf() -> Shelf:
    """Three models, of which the first is the default one. What each says is its own."""
    shelf = Shelf(SMALL, TALKER, SINGER)
    shelf.scripts = {SMALL: "I am small.", TALKER: "Talk, talk.", SINGER: "Tra la la."}
    return shelf


@asynccontextmanager
async def shelved(
    shelf: Shelf, bounds: PoolBounds | None = None, limits: ServerLimits | None = None
) -> AsyncGenerator[str]:
    """The base URL of a server of a shelf's models, which frees all of them in the end."""
    pool = ModelPool(shelf.source(next(iter(shelf.sizes))), supply=shelf, bounds=bounds)
    async with serving(LocalBackend(pool), limits) as url:
        try:
            yield url
        finally:
            shelf.let_go()
            for model in shelf.models.values():
                model.gate.open()
    assert (shelf.present, shelf.taken) == (set(), 0)
