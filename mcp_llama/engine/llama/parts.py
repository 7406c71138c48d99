"""The files of a model that is split into parts, by their names: NAME-00001-of-00003.gguf and so on."""

import re
from pathlib import Path

from mcp_llama.errors import ModelLoadError

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")


def files_of(path: Path) -> list[Path]:
    """All parts of the model to which a file belongs by its name, there or not; of an undivided model just the one."""
    part = _PART.fullmatch(path.stem)
    if part is None:
        return [path]
    count = int(part["count"])
    return [path.with_stem(f"{part['stem']}-{number:05}-of-{count:05}") for number in range(1, count + 1)]


def whole_stem(path: Path) -> str:
    """A file's name without its suffix and without the number of a part."""
    part = _PART.fullmatch(path.stem)
    return part["stem"] if part else path.stem


def size_of(path: Path) -> int:
    """The bytes of all files of a model."""
    return sum(file.stat().st_size for file in files_of(path))


def check_parts(path: Path) -> None:
    """Refuse a file that llama.cpp cannot begin with, or whose other parts are not all there.

    Raises:
        ModelLoadError: it is not the first part, or parts are missing.
    """
    files = files_of(path)
    if path != files[0]:
        raise ModelLoadError(f"{path} is one part of a model that is split. Give the first part, {files[0].name}.")
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelLoadError(
            f"{path} is the first of {len(files)} parts, but {missing[0]}{others} cannot be found beside it. "
            "Download the model again."
        )
