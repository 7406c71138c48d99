"""Waiting for a model that is not there yet."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

from mcp_llama.backends.backend import Backend
from mcp_llama.errors import UnavailableError

_PATIENCE_S = 30.0
_RETRY_AFTER_S = 10.0


@asynccontextmanager
async def held_model(backend: Backend, model: str | None) -> AsyncGenerator[str]:
    """Wait until a model can answer, and keep it for the time of the body; gives its name.

    Raises:
        UnavailableError: it takes longer than a client without a sign of life would wait.
        RequestError: no model of that name is served, or several could be meant.
        ModelLoadError: it could not be loaded.
    """
    async with AsyncExitStack() as stack:
        name = None
        with anyio.move_on_after(_PATIENCE_S):
            name = await stack.enter_async_context(backend.hold(model))
        if name is None:
            raise loading_error(backend, model)
        yield name


def loading_error(backend: Backend, model: str | None) -> UnavailableError:
    """How far the model is."""
    status = backend.status(model)
    if status.state == "unloaded":
        return UnavailableError("other models are in use, and leave no memory for this one yet", _RETRY_AFTER_S)
    return UnavailableError(f"the model is still loading ({status.loaded:.0%})", _RETRY_AFTER_S)
