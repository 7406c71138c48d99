"""A client's own file: read whole, merged, and replaced in one step, with a copy of what it was beside it."""

import codecs
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mcp_llama.clients.failure import MergeError

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# What the umask leaves of the first; the second for a file that gets the permissions of another.
_ANYONE = 0o666
_OWNER = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a file: whether it changed, and where the file as it was is, if there was one."""

    changed: bool
    backup: Path | None


def rewrite(path: Path, edit: Callable[[str], str]) -> Written:
    """Replace the text of a file by what `edit` makes of it; a file that is not there is an empty one.

    A link stays a link, and the byte order mark, the permissions and the owner stay what they are.

    Raises:
        MergeError: the file cannot be read, is no UTF-8, cannot be edited or written; it is as it was.
    """
    # The file behind a link is what must be replaced.
    real = Path(os.path.realpath(path))
    try:
        before = real.read_bytes() if real.exists() else None
        after = _edited(before or b"", edit)
        if after == before:
            return Written(changed=False, backup=None)
        if before is None:
            real.parent.mkdir(parents=True, exist_ok=True)
        elif not os.access(real, os.W_OK):
            raise MergeError("it is read-only")
        backup = _replace(real, before, after)
    except OSError as error:
        raise MergeError(error.strerror or str(error)) from error
    return Written(changed=True, backup=backup)


def _edited(content: bytes, edit: Callable[[str], str]) -> bytes:
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    try:
        text = content[len(mark) :].decode("utf-8")
    except UnicodeDecodeError as error:
        raise MergeError(f"byte {len(mark) + error.start} is not UTF-8") from error
    try:
        return mark + edit(text).encode("utf-8")
    except RecursionError as error:
        raise MergeError("it is nested too deeply") from error


def _back_up(path: Path, content: bytes) -> Path:
    number = 1
    while True:
        backup = path.with_name(f"{path.name}.bak{'' if number == 1 else number}")
        try:
            _create(backup, content, like=path)
        except FileExistsError:
            number += 1
        else:
            return backup


def _replace(path: Path, before: bytes | None, after: bytes) -> Path | None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _create(fresh, after, like=None if before is None else path)
        if (path.read_bytes() if path.exists() else None) != before:
            raise MergeError("another program changed it just now; run the command again")
        backup = None if before is None else _back_up(path, before)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    return backup


def _create(path: Path, content: bytes, like: Path | None) -> None:
    """Write a new file, with the permissions and the owner of another; none is left if that fails."""
    number = os.open(path, _NEW, _ANYONE if like is None else _OWNER)
    try:
        with os.fdopen(number, "wb") as file:
            if like is not None:
                _liken(path, like)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink()
        raise


def _liken(path: Path, other: Path) -> None:
    shutil.copymode(other, path)
    if sys.platform != "win32":
        owner = other.stat()
        # Only root may give a file away.
        with suppress(PermissionError):
            os.chown(path, owner.st_uid, owner.st_gid)
