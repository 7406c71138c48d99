"""Which GGUF file a name stands for."""

import os
from dataclasses import dataclass
from pathlib import Path

from mcp_llama.errors import ModelLoadError
from mcp_llama.gguf_parts import part_name, whole_stem
from mcp_llama.models.catalog import Catalog, path_of
from mcp_llama.models.embedded import embedded_model
from mcp_llama.models.stored import STORE_TITLES, StoredModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A GGUF file, the name it is served under, and why it was chosen."""

    name: str
    path: Path
    reason: str


def find_model(model: str | None) -> ModelFile:
    """The file for the option `model`: a path, the name of a model on this machine, or None for the embedded model.

    Raises:
        ModelLoadError: there is no such file, or a part of it is missing.
    """
    if model is None:
        path = embedded_model()
        if path is None:
            raise ModelLoadError(
                "No model given, and the embedded one is not installed. "
                "Pass --model with the path of a GGUF file or a name that `mcp-llama models list` shows, "
                "or install mcp-llama[embedded-model]."
            )
        return ModelFile(name=path.stem, path=path, reason="no model was given, so the embedded one is used")
    path = path_of(model)
    # Unlike Path's own, this takes a text of any length.
    if os.path.isfile(path):
        return ModelFile(name=whole_stem(path), path=_real(path), reason="it was given as the option model")
    if path.is_absolute() or os.path.isdir(path) or model.startswith("."):
        raise ModelLoadError(f"No model file at {path}. Give the path of a GGUF file.")
    return stored_file(Catalog.scan().find(model))


def stored_file(stored: StoredModel) -> ModelFile:
    """The file of a model of the catalog.

    Raises:
        ModelLoadError: a part of it is missing.
    """
    if stored.missing_parts:
        raise ModelLoadError(
            f"{stored.name} is not complete: {stored.missing_parts} of its parts are missing in {stored.path.parent}. "
            "Download it again."
        )
    reason = f"it was given as the option model, and found in {STORE_TITLES[stored.store]}"
    return ModelFile(name=stored.name, path=_real(stored.path), reason=reason)


def _real(path: Path) -> Path:
    # llama.cpp finds the other parts by their names, which the files that links lead to may not have.
    return path.resolve() if part_name(path) is None else path.absolute()
