"""Contents: what a model's memory holds when its engine starts, and where that is kept when the engine ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcp_llama.engine.cache_files import CacheFiles
from mcp_llama.engine.model import KvMemory
from mcp_llama.engine.prefix_cache import PrefixCache, StoredPrefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Prefixes that stay, the tokens of slots, the oldest first, and the files of this model."""

    prefixes: tuple[StoredPrefix, ...] = ()
    slots: Mapping[int, list[int]] = field(default_factory=dict[int, list[int]])
    files: CacheFiles | None = None

    def cache(self, memory: KvMemory) -> PrefixCache:
        """A cache that knows all this."""
        cache = PrefixCache(memory, self.prefixes)
        for slot, tokens in self.slots.items():
            cache.load(cache.slots[slot], tokens)
        return cache

    def keep(self, cache: PrefixCache) -> None:
        """Write what free slots hold to the files, if there are any. Engine thread only."""
        if self.files is not None:
            self.files.save_slots({slot.id: slot.tokens for slot in reversed(cache.free_slots)})


EMPTY = Contents()
