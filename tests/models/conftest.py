from collections.abc import Iterator

import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.models.loader import ModelLoader
from tests.models.loading import Loading


@pytest.fixture
def loading() -> Loading:
    return Loading()


@pytest.fixture
def loader(loading: Loading) -> Iterator[ModelLoader]:
    loader = ModelLoader("small", loading, EngineLimits(max_queue=3))
    yield loader
    loader.close()
