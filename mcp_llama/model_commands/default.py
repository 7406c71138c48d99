"""The command `models default`: which model is used when none is named."""

import os
import sys
import tomllib
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError

from mcp_llama.clients.failure import MergeError
from mcp_llama.clients.file import rewrite
from mcp_llama.config import load_settings, user_file
from mcp_llama.errors import ConfigError, ModelNameError
from mcp_llama.model_commands.note import note
from mcp_llama.models.catalog import Catalog, path_of
from mcp_llama.models.files import find_model, stored_file
from mcp_llama.models.stored import StoredModel
from mcp_llama.settings.command import ENV_PREFIX
from mcp_llama.settings.model import ModelSettings
from mcp_llama.settings.models import ModelsDefaultSettings

_VARIABLE = f"{ENV_PREFIX}MODEL"


def run_default(settings: ModelsDefaultSettings) -> int:
    """Print the default, or write it; returns the exit status."""
    if settings.name:
        _write(settings.config or user_file(), _checked(settings.name))
        if os.environ.get(_VARIABLE):
            note(f"The environment variable {_VARIABLE} is set, and has the last word.")
        return 0
    file = find_model(configured_model(settings.config))
    sys.stdout.write(f"{file.name}\n")
    note(f"{file.path}: {file.reason}.")
    return 0


def configured_model(config: Path | None) -> str | None:
    """The option `model` as the environment and the TOML file have it."""
    return load_settings(ModelSettings, "models default", [] if config is None else ["--config", str(config)]).model


def find_default(catalog: Catalog, config: Path | None) -> StoredModel | None:
    """The default of a catalog; None and a message if it is not in there."""
    name = configured_model(config)
    if name is None:
        return next((model for model in catalog.models() if model.store == "embedded"), None)
    try:
        return catalog.find(name)
    except ModelNameError as error:
        if os.path.isfile(path_of(name)):
            note(f"The default model is {path_of(name)}, which is in none of the stores.")
        else:
            note(f"The default model is set to {name!r}. {error}")
        return None


def _checked(name: str) -> str:
    """The name of a model that is there, as it will mean the same tomorrow and in another folder."""
    path = path_of(name)
    try:
        stored = Catalog.scan().find(name)
    except ModelNameError:
        if os.path.isfile(path):
            return str(path.absolute())
        raise
    return stored_file(stored).name


def _write(file: Path, model: str) -> None:
    def edit(text: str) -> str:
        try:
            document = tomlkit.parse(text)
        except TOMLKitError as error:
            raise MergeError(f"it is not valid TOML: {error}") from error
        document["model"] = model
        edited = tomlkit.dumps(document)
        assert tomllib.loads(edited) == {**tomllib.loads(text), "model": model}, "all else is kept"
        return edited

    try:
        written = rewrite(file, edit)
    except MergeError as error:
        raise ConfigError(f"{file} cannot be changed: {error}.") from error
    if written.backup is not None:
        # One line of our own file needs no copy.
        written.backup.unlink()
    note(f"{model} is the default now, as {file} says.")
