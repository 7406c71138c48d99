"""LM Studio's folders of models, `publisher/repo/file.gguf`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcp_llama.models.gguf_folder import FoundModel, find_models
from mcp_llama.models.listing import warn_skipped


def find_in_lm_studio() -> Iterator[FoundModel]:
    """The models in LM Studio's folders, wherever its user has put them."""
    for folder in dict.fromkeys(folder for home in _homes() for folder in _folders(home)):
        yield from find_models(folder)


def _homes() -> Iterator[Path]:
    pointer = Path.home() / ".lmstudio-home-pointer"
    try:
        yield Path(pointer.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError):
        warn_skipped(pointer, "it cannot be read")
    yield Path.home() / ".lmstudio"
    yield Path.home() / ".cache" / "lm-studio"


def _folders(home: Path) -> Iterator[Path]:
    settings = home / "settings.json"
    try:
        data: Any = json.loads(settings.read_bytes())
        yield Path(data["downloadsFolder"])
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError, KeyError, TypeError):
        warn_skipped(settings, "it does not say where the models are")
    yield home / "models"
