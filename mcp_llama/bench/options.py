"""From the flags of a command to llama.cpp's options, for workers that load the model themselves."""

from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from mcp_llama.engine.llama import ModelOptions

_WORDS = ("flash_attn", "pooling")


def model_of(flags: Sequence[str]) -> tuple[Path, ModelOptions]:
    """The file and the options that flags such as `--model PATH --n-ctx 4096` name; other flags are of no concern."""
    given = {flag[2:].replace("-", "_"): value for flag, value in pairwise(flags) if _is_flag(flag)}
    known = {field.name for field in fields(ModelOptions)} & given.keys()
    options: dict[str, Any] = {name: given[name] if name in _WORDS else int(given[name]) for name in known}
    return Path(given["model"]), ModelOptions(**options)


def _is_flag(word: str) -> bool:
    return word.startswith("--")
