"""Prefix caches with known contents, for what runs without an engine."""

from collections.abc import Sequence as Tokens

from mcp_llama.engine.model import Rows
from mcp_llama.engine.prefix_cache import Place, PrefixCache, StoredPrefix
from mcp_llama.engine.sequence import Sequence
from tests.engine.sequences import sequence
from tests.fake_model import FakeModel

HEAD = "A long start that many prompts have in common, such as the instructions of an agent."
LONG = len(HEAD)


def ids(text: str | Tokens[int]) -> list[int]:
    """The tokens of a text."""
    return list(text.encode() if isinstance(text, str) else text)


def memory(
    n_slots: int, *, n_ctx: int = 512, n_cells: int | None = None, can_cut: bool = True, n_batch: int = 512
) -> FakeModel:
    """The KV memory of a model that computes any prompt at once."""
    return FakeModel(n_ctx=n_ctx, n_slots=n_slots, n_batch=n_batch, n_cells=n_cells, can_cut=can_cut)


def cache_of(
    *contents: str | Tokens[int], model: FakeModel | None = None, stored: Tokens[StoredPrefix] = ()
) -> PrefixCache:
    """A cache whose slots were released in order, with these contents."""
    model = model or memory(len(contents))
    cache = PrefixCache(model, stored)
    for slot, content in enumerate(contents):
        cache.release(running(cache, model, slot, ids(content), len(content)))
    return cache


def compute(cache: PrefixCache, model: FakeModel, owner: Sequence, count: int) -> None:
    """Compute the next tokens of a sequence."""
    assert owner.slot is not None
    start = owner.num_computed_tokens
    if count:
        positions = list(range(start, start + count))
        model.decode(Rows(owner.tokens[start:][:count], positions, [owner.slot.id] * count, [False] * count))
    cache.advance(owner, count)


def running(
    cache: PrefixCache, model: FakeModel, slot: int, prompt: str | Tokens[int], computed: int, shared: int = 0
) -> Sequence:
    """A sequence that runs in a slot and has computed so many of its tokens; those shared were in the slot."""
    owner = sequence(ids(prompt))
    cache.occupy(Place(cache.slots[slot], shared), owner)
    compute(cache, model, owner, computed - shared)
    return owner
