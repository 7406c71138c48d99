from collections.abc import Callable, Iterator

import pytest

from mcp_llama.engine.engine import Engine
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.metrics import EngineMetrics
from tests.engine.clock import Clock
from tests.fake_model import FakeModel

StartEngine = Callable[..., Engine]


@pytest.fixture
def start() -> Iterator[StartEngine]:
    """Starts engines, and looks at the end of the test whether they gave back all that they took."""
    started: list[tuple[Engine, FakeModel]] = []

    def start(model: FakeModel, limits: EngineLimits | None = None, metrics: EngineMetrics | None = None) -> Engine:
        engine = Engine(model, limits, metrics)
        started.append((engine, model))
        return engine

    yield start
    for engine, model in started:
        engine.close()
        assert model.closed
        assert model.open_samplers == 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The engine's clock, which only moves when the test moves it."""
    clock = Clock()
    for module in ("token_loop", "sequence", "generation"):
        monkeypatch.setattr(f"mcp_llama.engine.{module}.time", clock)
    return clock
