"""What is in a folder that another program, or nobody, takes care of."""

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


def entries(folder: Path, level: int = logging.WARNING) -> list[os.DirEntry[str]]:
    """What a folder holds, by name, without hidden ones; nothing and a warning of this level if it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        warn_skipped(folder, reason(error), level)
        return []


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether this is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself.
        return False


def warn_skipped(path: Path, why: str, level: int = logging.WARNING) -> None:
    """Say that something that may have been a model is left out, and why."""
    logger.log(level, "%s is skipped: %s.", path, why)


def reason(error: OSError) -> str:
    """The system's own words."""
    return error.strerror or str(error)
