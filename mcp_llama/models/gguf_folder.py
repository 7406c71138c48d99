"""The models in a folder of GGUF files, of which some may be split into parts."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mcp_llama.gguf_parts import part_name
from mcp_llama.models.gguf_head import DamagedGgufError, GgufHead, read_head
from mcp_llama.models.listing import entries, is_folder, reason, warn_skipped

_SUFFIX = ".gguf"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A model in a folder. `location` is its place there, without the number of a part and without the suffix."""

    path: Path
    location: PurePosixPath
    size: int
    missing_parts: int = 0


def find_models(folder: Path, *, deep: bool = True) -> Iterator[FoundModel]:
    """All models in a folder, and in those within it if `deep`; what is damaged is left out with a warning."""
    return _find(folder.absolute(), PurePosixPath(), deep, set())


def _find(folder: Path, location: PurePosixPath, deep: bool, seen: set[tuple[int, int]]) -> Iterator[FoundModel]:
    files: dict[tuple[str, int], list[Path]] = {}
    folders: list[os.DirEntry[str]] = []
    # A folder's own place comes before that of a link to it.
    for entry in sorted(entries(folder), key=lambda entry: entry.is_symlink()):
        if is_folder(entry):
            folders += [entry] if _is_new(entry, seen) else []
        elif entry.name.lower().endswith(_SUFFIX) and "mmproj" not in entry.name.lower():
            path = Path(entry.path)
            part = part_name(path)
            files.setdefault((part.stem, part.count) if part else (path.stem, 1), []).append(path)
    for (stem, count), paths in files.items():
        yield from _model(paths, location / stem, count)
    for entry in folders if deep else ():
        yield from _find(Path(entry.path), location / entry.name, deep, seen)


def _is_new(folder: os.DirEntry[str], seen: set[tuple[int, int]]) -> bool:
    """Whether no link has led to this folder before."""
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    is_new = identity not in seen
    seen.add(identity)
    return is_new


def _model(paths: list[Path], location: PurePosixPath, count: int) -> Iterator[FoundModel]:
    heads = {path: head for path in paths if (head := usable_head(path, is_part=count > 1)) is not None}
    if heads:
        size = sum(head.size for head in heads.values())
        yield FoundModel(path=next(iter(heads)), location=location, size=size, missing_parts=max(0, count - len(heads)))


def usable_head(path: Path, *, is_part: bool = False) -> GgufHead | None:
    """The head of a file with a model, or a part of one; None and a warning if it is damaged."""
    try:
        head = read_head(path)
    except FileNotFoundError:
        warn_skipped(path, "it is a link to a file that is not there")
    except OSError as error:
        warn_skipped(path, reason(error))
    except DamagedGgufError as error:
        warn_skipped(path, str(error))
    else:
        if head.is_model or (is_part and head.may_be_part):
            return head
    return None
