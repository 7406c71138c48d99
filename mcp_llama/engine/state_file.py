"""StateFile: the state of one slot on disk, under a name that tells whether it is still what was written."""

import hashlib
import os
import re
import secrets
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

Kind = Literal["prefix", "sequence"]

_NAME = re.compile(r"(prefix|sequence)-([0-9]{1,9})-([0-9a-f]{32})-([0-9a-f]{64})\.state")
_TEMPORARY = ".tmp"
_ABANDONED_S = 600
"""A temporary file that is older was left by a server that is no more."""


@dataclass(frozen=True, slots=True)
class StateFile:
    """A file that was there when its folder was read. `count` and `tokens_hash` are of the tokens."""

    path: Path
    kind: Kind
    count: int
    tokens_hash: str
    content_hash: str
    modified: int

    def is_intact(self, key: str) -> bool:
        """Whether the file is as it was written, for the same key.

        Raises:
            OSError: it cannot be read.
        """
        return _content_hash(self.path, key) == self.content_hash

    def remove(self) -> None:
        """Delete the file, as far as that is allowed."""
        with suppress(OSError):
            self.path.unlink()


def read_folder(folder: Path) -> list[StateFile]:
    """The state files of a folder, the newest first; what has another name is nobody's business.

    Raises:
        OSError: the folder cannot be read.
    """
    files: list[StateFile] = []
    for entry in os.scandir(folder):
        match = _NAME.fullmatch(entry.name)
        # Another server may remove a file at any moment.
        with suppress(FileNotFoundError):
            if match is not None and entry.is_file():
                kind, count, tokens_hash, content_hash = match.groups()
                modified = entry.stat().st_mtime_ns
                found = cast(Kind, kind)
                files.append(StateFile(Path(entry.path), found, int(count), tokens_hash, content_hash, modified))
    return sorted(files, key=lambda file: file.modified, reverse=True)


def write(folder: Path, kind: Kind, tokens: Sequence[int], key: str, save: Callable[[Path], None]) -> Path:
    """Let `save` write the state of these tokens; nobody sees the file before it is whole.

    Raises:
        OSError: it cannot be written.
    """
    temporary = folder / f"{secrets.token_hex(8)}{_TEMPORARY}"
    # llama.cpp would make a file that others may read; one that exists keeps its mode.
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        save(temporary)
        content_hash = _content_hash(temporary, key)
        path = folder / f"{kind}-{len(tokens)}-{hash_tokens(tokens)}-{content_hash}.state"
        return temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> None:
    """Remove what servers left behind that were killed while they wrote."""
    for temporary in folder.glob(f"*{_TEMPORARY}"):
        with suppress(OSError):
            if time.time() - temporary.stat().st_mtime > _ABANDONED_S:
                temporary.unlink()


def hash_tokens(tokens: Sequence[int]) -> str:
    """What tokens are known by in a name."""
    return hashlib.sha256(array("i", tokens).tobytes()).hexdigest()[:32]


def _content_hash(path: Path, key: str) -> str:
    # With the key in it, a file that was moved from another model's folder is not intact.
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.sha256(key.encode())).hexdigest()
