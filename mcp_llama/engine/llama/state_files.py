"""Files with the state of one slot, in llama.cpp's own format. Engine thread only."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# llama_cpp's ctypes bindings carry few usable types.

import ctypes
import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import llama_cpp.llama_cpp as lib


def save_state(context: lib.llama_context_p, slot: int, path: Path, tokens: Sequence[int]) -> None:
    """Write the state of a slot that holds these tokens.

    Raises:
        OSError: the file cannot be written whole.
    """
    array = (lib.llama_token * len(tokens))(*tokens)
    save: Any = lib.llama_state_seq_save_file
    written: int = save(context, os.fsencode(path), slot, array, len(tokens))
    # What a full disk refuses only when the file is closed, llama.cpp does not notice.
    if not written or path.stat().st_size != written:
        raise OSError(f"llama.cpp could not write {path}")


def load_state(context: lib.llama_context_p, slot: int, path: Path, capacity: int) -> list[int]:
    """Make a slot hold what a file has; its tokens, at most `capacity`, or none if the file does not fit.

    llama.cpp checks the layout of a state, but not its contents: a damaged file can end the process.
    """
    tokens, count = (lib.llama_token * capacity)(), ctypes.c_size_t()
    load: Any = lib.llama_state_seq_load_file
    read: int = load(context, os.fsencode(path), slot, tokens, capacity, ctypes.byref(count))
    return tokens[: count.value] if read else []


@functools.cache
def build_hash() -> str:
    """What tells one build of llama.cpp from another: how a state is to be read may change without a word."""
    library = cast(Any, lib)._lib._name
    with open(library, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
