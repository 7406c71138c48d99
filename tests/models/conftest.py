from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.models.loader import ModelLoader
from mcp_llama.models.source import ModelSource
from tests.isolation import isolation
from tests.models.loading import Loading
from tests.models.machine import Machine

_OF_OTHER_PROGRAMS = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "LLAMA_CACHE", "OLLAMA_MODELS")


@pytest.fixture
def loading() -> Loading:
    return Loading()


@pytest.fixture
def loader(loading: Loading) -> Iterator[ModelLoader]:
    loader = ModelLoader(ModelSource(name="small", load=loading), EngineLimits(max_queue=3))
    yield loader
    loader.close()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_model_path: Path) -> Iterator[Machine]:
    """A user's machine with no models but the embedded one."""
    for name in _OF_OTHER_PROGRAMS:
        monkeypatch.delenv(name, raising=False)
    with isolation(monkeypatch, tmp_path):
        machine = Machine(tmp_path, real_model_path)
        monkeypatch.setattr("mcp_llama.models.ollama.SERVICE_STORE", machine.service)
        yield machine
