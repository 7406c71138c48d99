"""CacheFiles: the folder that keeps what slots hold, from one run of a server to the next.

For the thread that owns the model: the loader's until the engine starts, then the engine's.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from mcp_llama.engine.model import KvMemory
from mcp_llama.engine.prefix_cache import StoredPrefix
from mcp_llama.engine.state_file import Kind, StateFile, hash_tokens, read_folder, sweep, write

logger = logging.getLogger(__name__)

MIN_TOKENS = 64
"""Shorter sequences are computed about as fast as they are loaded."""
_SAVE_S = 1.5
"""A client that closed the stdin of its server waits for 2 seconds, then kills it."""
_ASSUMED_SPEED = 512 * 2**20
"""The bytes per second of writing, until they are known."""


class CacheFiles:
    """The state files of one model in one configuration. Nothing that is wrong with them is worse than a warning."""

    def __init__(self, root: Path, model_hash: str, memory: KvMemory) -> None:
        """Open or make the folder.

        Raises:
            OSError: it cannot be made.
        """
        self._key = f"{model_hash} {memory.state_kind}"
        self._memory = memory
        self._loaded: set[Path] = set()
        self._used: set[Path] = set()
        kind = hashlib.sha256(memory.state_kind.encode()).hexdigest()
        self.folder = root / f"{model_hash[:32]}-{kind[:16]}"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def load_prefix(self, tokens: list[int]) -> StoredPrefix | None:
        """The state of these tokens, if it is there; slot 0 is empty afterwards."""
        for file in self._files("prefix"):
            if file.tokens_hash == hash_tokens(tokens) and self._load(file, 0) == tokens:
                self._used.add(file.path)
                state = self._memory.save(0)
                self._memory.truncate(0, 0)
                return StoredPrefix(tokens, state)
        return None

    def save_prefix(self, tokens: list[int]) -> None:
        """Keep the state of slot 0, which holds these tokens."""
        path = self._save("prefix", 0, tokens)
        if path is not None:
            self._used.add(path)

    def remove_other_prefixes(self) -> None:
        """Remove the prefixes that this run has not asked for."""
        for file in self._files("prefix"):
            if file.path not in self._used:
                file.remove()

    def load_slots(self, is_wanted: Callable[[], bool]) -> dict[int, list[int]]:
        """Fill the slots with the newest sequences; the tokens of each slot, the oldest first."""
        loaded: dict[int, list[int]] = {}
        room = self._memory.n_cells
        for file in self._files("sequence"):
            if len(loaded) == self._memory.n_slots or not is_wanted():
                break
            if file.count <= min(room, self._memory.n_ctx) and (tokens := self._load(file, len(loaded))):
                loaded[len(loaded)] = tokens
                self._loaded.add(file.path)
                room -= len(tokens)
        return dict(reversed(loaded.items()))

    def save_slots(self, held: Mapping[int, list[int]]) -> None:
        """Keep what slots hold, the most important first, in the time that there is, and remove what is outdated."""
        began, now = time.monotonic(), time.time_ns()
        saved = [(slot, tokens) for slot, tokens in held.items() if len(tokens) >= MIN_TOKENS]
        there = {file.tokens_hash: file for file in self._files("sequence")}
        kept: list[Path] = []
        written = 0
        for slot, tokens in saved:
            file, size = there.get(hash_tokens(tokens)), self._memory.state_size(slot)
            elapsed = time.monotonic() - began
            if file is not None:
                kept.append(file.path)
            elif elapsed + size / (written / elapsed if written else _ASSUMED_SPEED) <= _SAVE_S:
                path = self._save("sequence", slot, tokens)
                kept += [] if path is None else [path]
                written += size
        _set_order(kept, now)
        self._remove_outdated(kept if len(kept) == len(saved) else [*kept, *self._loaded])
        seconds = time.monotonic() - began
        if saved:
            logger.info("Kept %d of %d sequences in %s (%.2f s)", len(kept), len(saved), self.folder, seconds)

    def _remove_outdated(self, needed: list[Path]) -> None:
        """Remove what this server has loaded, but does not need; of the rest, what is more than slots can hold."""
        files = self._files("sequence")
        outdated = [file for file in files if file.path in self._loaded and file.path not in needed]
        rest = [file for file in files if file not in outdated]
        for file in [*outdated, *rest[self._memory.n_slots :]]:
            file.remove()
        sweep(self.folder)

    def _files(self, kind: Kind) -> list[StateFile]:
        try:
            return [file for file in read_folder(self.folder) if file.kind == kind]
        except OSError as error:
            logger.warning("The cache folder cannot be read: %s", error)
            return []

    def _load(self, file: StateFile, slot: int) -> list[int]:
        """The tokens that a slot holds then, none if the file is not to be used."""
        try:
            tokens = self._memory.load_file(slot, file.path) if file.is_intact(self._key) else []
        except FileNotFoundError:
            return []
        except OSError as error:
            logger.warning("A cached state cannot be read and is left out: %s", error)
            return []
        if not tokens:
            logger.warning("%s is damaged or of another model: it is removed and computed again", file.path)
            file.remove()
        return tokens

    def _save(self, kind: Kind, slot: int, tokens: list[int]) -> Path | None:
        try:
            return write(self.folder, kind, tokens, self._key, lambda path: self._memory.save_file(slot, path, tokens))
        except OSError as error:
            logger.warning("A state could not be kept: %s", error)
            return None


def _set_order(paths: list[Path], now: int) -> None:
    """Let the times of files tell their order, the newest first."""
    for rank, path in enumerate(paths):
        moment = now - rank * 1_000_000
        try:
            os.utime(path, ns=(moment, moment))
        except OSError as error:
            logger.warning("A cached state is not as new as it should be: %s", error)
