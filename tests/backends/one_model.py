"""A backend with one model."""

from functools import partial

from mcp_llama.backends.local import LocalBackend
from mcp_llama.chat.plan import ChatDefaults
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.models.loadable import LoadModel, PrepareModel
from mcp_llama.models.pool import ModelPool
from mcp_llama.models.preparation import Preparation
from mcp_llama.models.source import ModelSource


def pool_of(
    name: str, load: LoadModel, limits: EngineLimits | None = None, prepare: PrepareModel | None = None
) -> ModelPool:
    """A pool that has nothing but this model."""
    return ModelPool(ModelSource(name=name, load=load, prepare=prepare), limits)


def backend_of(
    name: str,
    load: LoadModel,
    limits: EngineLimits | None = None,
    chat: ChatDefaults | None = None,
    preparation: Preparation | None = None,
) -> LocalBackend:
    """It serves nothing but this model."""
    prepare = None if preparation is None else partial(preparation.fill, chat or ChatDefaults())
    return LocalBackend(pool_of(name, load, limits, prepare), chat)
