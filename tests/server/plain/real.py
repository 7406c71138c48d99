"""A server on the embedded model."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from mcp_llama.engine.llama import LlamaModel, ModelOptions
from tests.backends.one_model import backend_of
from tests.server.plain.streams import Asker, asker
from tests.server.serving import serving

N_CTX = 256
VOCABULARY = 49_152


@asynccontextmanager
async def real_client(path: Path) -> AsyncGenerator[Asker]:
    """A client of a server on the embedded model, which is loaded."""
    options = ModelOptions(n_ctx=N_CTX, n_slots=2, n_threads=1)
    backend = backend_of("real", partial(LlamaModel, path, options))
    async with serving(backend) as url, asker(url) as client:
        await backend.ready(None)
        yield client
