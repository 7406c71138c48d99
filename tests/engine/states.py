"""Filling the slots of a FakeModel, and folders that keep them."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from mcp_llama.engine.cache_files import CacheFiles
from mcp_llama.engine.model import Rows
from tests.fake_model import FakeModel

T = TypeVar("T")

HASH = "ab" * 32
"""Of the file of a model that there is not."""


def text_tokens(begin: str, count: int = 100) -> list[int]:
    """So many tokens that begin with a text."""
    return list(begin.encode().ljust(count, b"."))


def filled(*contents: Sequence[int], n_slots: int = 4, n_ctx: int = 512, n_cells: int | None = None) -> FakeModel:
    """A model whose slots hold these tokens."""
    model = FakeModel(n_slots=n_slots, n_ctx=n_ctx, n_batch=n_ctx, n_cells=n_cells)
    for slot, tokens in enumerate(contents):
        if tokens:
            model.decode(Rows(list(tokens), list(range(len(tokens))), [slot] * len(tokens), [False] * len(tokens)))
    return model


def keep(folder: Path, *contents: list[int], model_hash: str = HASH) -> CacheFiles:
    """Let a server keep slots with these tokens, the newest first, in a folder."""
    files = CacheFiles(folder, model_hash, filled(*contents))
    files.save_slots(dict(enumerate(contents)))
    return files


def kept(folder: Path, model: FakeModel | None = None, *, model_hash: str = HASH) -> dict[int, list[int]]:
    """What the slots of a server hold after it has looked into a folder."""
    model = model or FakeModel()
    loaded = CacheFiles(folder, model_hash, model).load_slots(lambda: True)
    assert loaded == {slot: held for slot, held in enumerate(model.slots) if held}
    return loaded


def state_paths(folder: Path) -> list[Path]:
    """The files of all models in a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def by_loader(work: Callable[[], T]) -> T:
    """The result of work on a model that an engine gets afterwards."""
    done: list[T] = []
    thread = threading.Thread(target=lambda: done.append(work()), name="model-loader")
    thread.start()
    thread.join()
    return done[0]
