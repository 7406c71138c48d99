"""Waiting for a model that is still loading."""

import anyio

from mcp_llama.backends.backend import Backend
from mcp_llama.errors import UnavailableError

_PATIENCE_S = 30.0
_RETRY_AFTER_S = 10.0


async def wait_for_model(backend: Backend, model: str | None) -> str:
    """Wait until a model can answer; returns its name.

    Raises:
        UnavailableError: it takes longer than a client without a sign of life would wait.
        UnknownModelError: no model of that name is served.
        ModelLoadError: it could not be loaded.
    """
    with anyio.move_on_after(_PATIENCE_S):
        return await backend.ready(model)
    raise loading_error(backend, model)


def loading_error(backend: Backend, model: str | None) -> UnavailableError:
    """How far the model is."""
    return UnavailableError(f"the model is still loading ({backend.status(model).loaded:.0%})", _RETRY_AFTER_S)
