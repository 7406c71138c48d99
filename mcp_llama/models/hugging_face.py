"""The cache that all programs with Hugging Face's libraries share, llama.cpp among them."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mcp_llama.models.gguf_folder import FoundModel, find_models
from mcp_llama.models.listing import entries, is_folder

REPOSITORY = "models--"
"""What the name of a repository's folder begins with."""


def hugging_face_caches() -> list[Path]:
    """The folders with `models--owner--repo` in them; llama.cpp may have one of its own."""
    own = os.environ.get("LLAMA_CACHE")
    return [*([Path(own)] if own else []), _cache()]


def find_in_hugging_face() -> Iterator[FoundModel]:
    """The models of every repository, each file from its newest revision."""
    for cache in hugging_face_caches():
        for entry in entries(cache):
            if entry.name.startswith(REPOSITORY):
                repository = PurePosixPath(entry.name.removeprefix(REPOSITORY).replace("--", "/"))
                yield from _find_in_repository(Path(entry.path), repository)


def _find_in_repository(folder: Path, repository: PurePosixPath) -> Iterator[FoundModel]:
    found: dict[PurePosixPath, FoundModel] = {}
    for snapshot in _snapshots(folder):
        for model in find_models(snapshot):
            found.setdefault(model.location, model)
    for model in found.values():
        yield replace(model, location=repository / model.location)


def _snapshots(folder: Path) -> list[Path]:
    """A repository's revisions: what its branch main is at, then the newest."""
    snapshots = [entry for entry in entries(folder / "snapshots") if is_folder(entry)]
    main = _read_ref(folder / "refs" / "main")
    snapshots.sort(key=lambda entry: (entry.name != main, -entry.stat().st_mtime_ns))
    return [Path(entry.path) for entry in snapshots]


def _read_ref(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _cache() -> Path:
    for name, below in (
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
    ):
        value = os.environ.get(name)
        if value:
            return Path(os.path.expandvars(value)).expanduser() / below
    return Path.home() / ".cache" / "huggingface" / "hub"
