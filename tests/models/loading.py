"""A load that a test stops and goes."""

import threading
import time
from collections.abc import Callable

import anyio

from mcp_llama.engine.sampling import SamplingParams
from mcp_llama.engine.types import TokenRequest
from mcp_llama.errors import ModelLoadError
from tests.fake_model import FakeModel

PATIENCE_S = 10


class Loading:
    """A load that a test stops and goes: it reports half, then waits for the test or until the model is not wanted."""

    def __init__(self) -> None:
        self.model = FakeModel()
        self.error: Exception | None = None
        self.calls = 0
        self.at_half = threading.Event()
        self.go_on = threading.Event()
        self.deaf = False
        """Whether the load goes on after it was told to give up."""

    def __call__(self, report: Callable[[float], bool]) -> FakeModel:
        self.calls += 1
        wanted = report(0.5)
        self.at_half.set()
        patience = time.monotonic() + PATIENCE_S
        while wanted and not self.go_on.wait(0.005):
            assert time.monotonic() < patience, "nobody ended the load"
            wanted = report(0.5)
        if not wanted and not self.deaf:
            raise ModelLoadError("llama.cpp gave no reason")
        if self.error is not None:
            raise self.error
        return self.model

    async def half(self) -> None:
        assert await anyio.to_thread.run_sync(self.at_half.wait, PATIENCE_S)


def token_request() -> TokenRequest:
    sampling = SamplingParams(seed=0)
    return TokenRequest(prompt=(65,), max_tokens=1, sampling=sampling, stop=(), arrival=0.0, deadline=None)
