"""llama.cpp's own older cache, a flat folder; newer versions use Hugging Face's."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from platformdirs import user_cache_path

from mcp_llama.models.gguf_folder import FoundModel, find_models
from mcp_llama.models.names import location_in_cache


def find_in_llama_cache() -> Iterator[FoundModel]:
    """The models there, at the places that they have in their repositories."""
    own = os.environ.get("LLAMA_CACHE")
    folder = Path(own) if own else user_cache_path("llama.cpp", appauthor=False, opinion=False)
    for model in find_models(folder, deep=False):
        yield replace(model, location=location_in_cache(model.location.name))
