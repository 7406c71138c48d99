"""Preparation: what is done to a loaded model before its engine starts. Loader thread only."""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_llama.chat.plan import ChatDefaults
from mcp_llama.engine.cache_files import CacheFiles
from mcp_llama.engine.contents import Contents
from mcp_llama.engine.model import DecodeAbortedError
from mcp_llama.engine.prefix_cache import StoredPrefix
from mcp_llama.errors import ConfigError, ModelLoadError
from mcp_llama.gguf_parts import files_of
from mcp_llama.models.loadable import LoadableModel
from mcp_llama.models.warm import WarmText, compute_prefix, read_warm, stored_prefix, warm_tokens

logger = logging.getLogger(__name__)

_HASHED_AT_ONCE = 2**22


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheFolder:
    """A folder that may be written, and the model's file."""

    path: Path
    model: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """System messages to compute, and the folder that keeps them and the sequences of earlier runs."""

    warm: tuple[WarmText, ...] = ()
    cache: CacheFolder | None = None

    def fill(self, chat: ChatDefaults, model: LoadableModel, is_wanted: Callable[[], bool]) -> Contents:
        """Fill the model's memory; `chat` is what holds for all chats.

        Raises:
            ModelLoadError: a system message does not fit the model, or the folder cannot be used any more.
            DecodeAbortedError: the model is not wanted any more.
        """
        # Before the hash of a large file: a text that does not fit is told at once.
        prompts = [(warm, warm_tokens(model, warm, chat)) for warm in self.warm]
        files = None if self.cache is None else _open(self.cache, model, is_wanted)
        prefixes = tuple(_prefix(model, warm, tokens, files, is_wanted) for warm, tokens in prompts)
        if files is None:
            return Contents(prefixes=prefixes)
        files.remove_other_prefixes()
        return Contents(prefixes=prefixes, slots=files.load_slots(is_wanted), files=files)


def read_preparation(warm: Sequence[Path], cache_dir: Path | None, model: Path) -> Preparation:
    """Read the files, and make the folder for a model's states if it is not there.

    Raises:
        ConfigError: a file cannot be used, or the folder cannot be written.
    """
    cache = None if cache_dir is None else _writable(cache_dir, model)
    return Preparation(warm=tuple(read_warm(path) for path in warm), cache=cache)


def _writable(path: Path, model: Path) -> CacheFolder:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return CacheFolder(path=path, model=model)
    except OSError as error:
        raise ConfigError(f"--cache-dir {path} cannot be written: {error.strerror}. Give another folder.") from error


def _open(cache: CacheFolder, model: LoadableModel, is_wanted: Callable[[], bool]) -> CacheFiles:
    try:
        return CacheFiles(cache.path, _file_hash(cache.model, is_wanted), model)
    except OSError as error:
        raise ModelLoadError(f"--cache-dir {cache.path} cannot be used: {error.strerror}.") from error


def _file_hash(path: Path, is_wanted: Callable[[], bool]) -> str:
    digest = hashlib.sha256()
    for part in files_of(path):
        with part.open("rb", buffering=0) as file:
            while chunk := file.read(_HASHED_AT_ONCE):
                if not is_wanted():
                    raise DecodeAbortedError
                digest.update(chunk)
    return digest.hexdigest()


def _prefix(
    model: LoadableModel, warm: WarmText, tokens: list[int], files: CacheFiles | None, is_wanted: Callable[[], bool]
) -> StoredPrefix:
    began = time.monotonic()
    prefix = None if files is None else files.load_prefix(tokens)
    done = "computed" if prefix is None else "loaded"
    if prefix is None:
        compute_prefix(model, tokens, is_wanted)
        if files is not None:
            files.save_prefix(tokens)
        prefix = stored_prefix(model, tokens)
    seconds, size = time.monotonic() - began, len(prefix.state) / 2**20
    logger.info("%s: %d tokens %s in %.2f s (%.1f MiB)", os.fspath(warm.path), len(tokens), done, seconds, size)
    return prefix
