"""Ollama's store: manifests by name, which say which blob is the model."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from mcp_llama.models.gguf_folder import usable_head
from mcp_llama.models.listing import entries, is_folder, reason, warn_skipped
from mcp_llama.models.names import tagged
from mcp_llama.models.stored import StoredModel

SERVICE_STORE = Path("/usr/share/ollama/.ollama/models")
"""Where the service has its models that Ollama's installer sets up on Linux."""
_MANIFESTS = ("manifests", "manifests-v2")
_MODEL = "application/vnd.ollama.image.model"
_HOSTS = ("registry.ollama.ai", "ollama.com")
_NAMESPACE = "library"
_NAME_PARTS = 4


class _Layer(BaseModel):
    media_type: str = Field(alias="mediaType")
    digest: Annotated[str, Field(pattern=r"^sha256[:-][0-9a-fA-F]{64}$")]
    size: int


class _Manifest(BaseModel):
    layers: list[_Layer] | None


def find_in_ollama() -> Iterator[StoredModel]:
    """The models of this user and of the service; what is in no GGUF file, as in the cloud, is left out."""
    # The service's store may be closed to this user, who then need not hear of it each time.
    for store, level in ((_own_store(), logging.WARNING), (SERVICE_STORE, logging.INFO)):
        for folder in entries(store, level):
            if folder.name in _MANIFESTS:
                for path, name in _manifests(Path(folder.path), PurePosixPath()):
                    yield from _read(store, path, name)


def _own_store() -> Path:
    # Ollama takes the variable without quotes that a shell has left in it.
    value = os.environ.get("OLLAMA_MODELS", "").strip(" \"'")
    return Path(value).absolute() if value else Path.home() / ".ollama" / "models"


def _manifests(folder: Path, name: PurePosixPath) -> Iterator[tuple[Path, PurePosixPath]]:
    """The manifests below a folder, with their names: host, namespace, model, tag."""
    is_last = len(name.parts) == _NAME_PARTS - 1
    for entry in entries(folder):
        if is_last and not is_folder(entry):
            yield Path(entry.path), name / entry.name
        elif not is_last and is_folder(entry):
            yield from _manifests(Path(entry.path), name / entry.name)


def _read(store: Path, path: Path, name: PurePosixPath) -> Iterator[StoredModel]:
    try:
        manifest = _Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        warn_skipped(path, "it is a link to a file that is not there")
        return
    except OSError as error:
        warn_skipped(path, reason(error))
        return
    except ValidationError:
        warn_skipped(path, "it is not a manifest of Ollama")
        return
    models = [layer for layer in manifest.layers or () if layer.media_type == _MODEL]
    if not models:
        return
    # Of several, Ollama itself takes the last.
    blob, size = store / "blobs" / models[-1].digest.replace(":", "-"), models[-1].size
    if not blob.exists():
        warn_skipped(path, f"its model {blob.name} is not there")
        return
    head = usable_head(blob)
    if head is None:
        return
    if head.size != size:
        warn_skipped(path, f"its model has {head.size:,} bytes of {size:,}")
        return
    whole, forms = _names(name)
    yield StoredModel(name=whole, path=blob, size=size, store="ollama", aliases=forms)


def _names(name: PurePosixPath) -> tuple[str, tuple[str, ...]]:
    """The name as Ollama shows it, and its short forms."""
    host, namespace, model, tag = name.parts
    in_namespace = f"{namespace}/{model}"
    shown = f"{host}/{in_namespace}"
    if host in _HOSTS:
        shown = model if namespace == _NAMESPACE else in_namespace
    forms = [form for whole in (shown, in_namespace, model) for form in tagged(whole, tag)]
    return f"{shown}:{tag}", tuple(dict.fromkeys(forms))
