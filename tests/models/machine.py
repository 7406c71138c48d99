"""The stores of models of a user's machine, as the programs that own them lay them out."""

import hashlib
import json
import os
from pathlib import Path

from mcp_llama.models.catalog import Catalog
from mcp_llama.models.folder import models_folder
from mcp_llama.models.stored import StoredModel
from tests.models.ggufs import write_gguf

COMMIT = "0" * 39 + "1"


class Machine:
    """A home with nothing in it but what is put there. Each file is a whole model of its own unless given."""

    def __init__(self, home: Path, embedded: Path) -> None:
        self.home = home
        self.embedded = embedded
        self.folder = models_folder()
        self.hub = home / ".cache" / "huggingface" / "hub"
        self.lm_studio = home / ".lmstudio" / "models"
        self.ollama = home / ".ollama" / "models"
        self.service = home / "service"
        self._written = 0

    def write(self, path: Path) -> Path:
        """A model at a path."""
        self._written += 1
        return write_gguf(path, {"general.name": f"model {self._written}"})

    def into_hub(self, repository: str, file: str, *, commit: str = COMMIT, is_linked: bool = True) -> Path:
        """A file of a repository, as a link to a blob, or as on Windows as the file itself."""
        folder = self.hub / f"models--{repository.replace('/', '--')}"
        path = folder / "snapshots" / commit / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_linked:
            loose = self.write(folder / "blobs" / "loose")
            blob = loose.rename(loose.with_name(hashlib.sha256(loose.read_bytes()).hexdigest()))
            path.symlink_to(os.path.relpath(blob, path.parent))
        else:
            self.write(path)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(commit, encoding="utf-8")
        return path

    def into_ollama(self, name: str, *, store: Path | None = None, model: Path | None = None) -> Path:
        """A model `host/namespace/model:tag` with its blob, a hard link to `model` if that is given; its manifest."""
        store = store or self.ollama
        (store / "blobs").mkdir(parents=True, exist_ok=True)
        if model is None:
            loose = self.write(store / "blobs" / "loose")
            digest = hashlib.sha256(loose.read_bytes()).hexdigest()
            blob = loose.rename(store / "blobs" / f"sha256-{digest}")
        else:
            digest = hashlib.sha256(str(model).encode()).hexdigest()
            blob = store / "blobs" / f"sha256-{digest}"
            if not blob.exists():
                os.link(model, blob)
        whole, _, tag = name.rpartition(":")
        manifest = store / "manifests" / whole / tag
        manifest.parent.mkdir(parents=True, exist_ok=True)
        layers = [layer("license", "a" * 64, 3), layer("model", digest, blob.stat().st_size)]
        manifest.write_text(manifest_with(layers), encoding="utf-8")
        return manifest

    def blobs(self) -> list[Path]:
        """Ollama's blobs."""
        return sorted((self.ollama / "blobs").iterdir())


def layer(kind: str, digest: str, size: int) -> dict[str, object]:
    """A layer of a manifest."""
    return {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}", "size": size}


def manifest_with(layers: list[dict[str, object]] | None) -> str:
    """A manifest of Ollama."""
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": f"sha256:{'b' * 64}", "size": 9}
    media_type = "application/vnd.docker.distribution.manifest.v2+json"
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers})


def others() -> list[StoredModel]:
    """The models of this machine beside the embedded one."""
    return [model for model in Catalog.scan().models() if model.store != "embedded"]


def names() -> list[str]:
    """Their names."""
    return [model.name for model in others()]
