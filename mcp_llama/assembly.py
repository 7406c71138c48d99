"""From the options of a command to the backend that they describe."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil

from mcp_llama.backends.local import LocalBackend
from mcp_llama.chat.plan import ChatDefaults
from mcp_llama.engine.llama import LlamaModel, ModelOptions, UnloadedModel, check_file
from mcp_llama.errors import ConfigError, RequestError
from mcp_llama.models.catalog_supply import CatalogSupply
from mcp_llama.models.files import ModelFile
from mcp_llama.models.pool import ModelPool
from mcp_llama.models.preparation import CacheFolder, Preparation, read_preparation
from mcp_llama.models.room import PoolBounds
from mcp_llama.models.source import ModelSource
from mcp_llama.settings.model import ModelSettings, ReasoningSettings
from mcp_llama.settings.server import ServerSettings

_BUDGET_SHARE = 0.75


def text_backend(settings: ModelSettings, file: ModelFile) -> LocalBackend:
    """One model, for the terminal.

    Raises:
        ModelLoadError: the file cannot be a model.
    """
    check_file(file.path, settings.model_options())
    chat = settings.chat_defaults() if isinstance(settings, ReasoningSettings) else None
    return LocalBackend(ModelPool(_source(file, settings.model_options())), chat)


def server_backend(settings: ServerSettings, file: ModelFile) -> LocalBackend:
    """The default model, and those of this machine that requests may name.

    Raises:
        ModelLoadError: the file cannot be a model.
        ConfigError: what an option names does not exist or cannot be used.
    """
    check_file(file.path, settings.model_options())
    chat = settings.chat_defaults()
    preparation = read_preparation(settings.warm, settings.cache_dir, file.path)
    default = replace(_source(file, settings.model_options()), prepare=partial(preparation.fill, chat))
    supply = None
    if not settings.only_model:
        supply = CatalogSupply(file, lambda other: default if other is file else _other_source(settings, chat, other))
    bounds = PoolBounds(
        memory=settings.memory_budget or int(psutil.virtual_memory().total * _BUDGET_SHARE),
        idle_s=settings.idle_timeout,
        pinned=_pinned(settings.pin, default, supply),
    )
    return LocalBackend(ModelPool(default, settings.engine_limits(), supply, bounds), chat)


def _source(file: ModelFile, options: ModelOptions) -> ModelSource:
    load = partial(LlamaModel, file.path, options)
    return ModelSource(name=file.name, load=load, memory=partial(_needed, file.path, options))


def _other_source(settings: ServerSettings, chat: ChatDefaults, file: ModelFile) -> ModelSource:
    source = _source(file, settings.model_options().for_another_model())
    if settings.cache_dir is None:
        return source
    preparation = Preparation(cache=CacheFolder(path=settings.cache_dir, model=file.path))
    return replace(source, prepare=partial(preparation.fill, chat))


def _pinned(names: Sequence[str], default: ModelSource, supply: CatalogSupply | None) -> tuple[str, ...]:
    """The names under which the pool has these models.

    Raises:
        ConfigError: one of them does not exist, or is not served.
    """
    pinned: list[str] = []
    for name in names:
        if name == default.name:
            pinned.append(name)
            continue
        if supply is None:
            raise ConfigError(f"--pin {name} and --only-model exclude each other. Remove one of them.")
        try:
            pinned.append(supply.find(name).name)
        except RequestError as error:
            raise ConfigError(f"--pin: {error}") from error
    return tuple(dict.fromkeys(pinned))


def _needed(path: Path, options: ModelOptions) -> int:
    model = UnloadedModel(path, options)
    model.close()
    return model.need.total
