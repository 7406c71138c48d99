"""What a loader and its engine do when they are told to stop."""

import anyio
import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.errors import BusyError, ModelLoadError
from mcp_llama.models.loader import ModelLoader
from mcp_llama.models.source import ModelSource
from tests.models.loading import PATIENCE_S, Loading, token_request


async def test_stop_ends_a_running_load(loading: Loading, loader: ModelLoader) -> None:
    loader.start()
    await loading.half()
    loader.stop()
    with anyio.fail_after(PATIENCE_S), pytest.raises(ModelLoadError, match="was stopped: the server is shutting down"):
        await loader.loaded()
    assert loader.status().state == "failed"


async def test_a_load_that_ends_after_stop_serves_no_request(loading: Loading, loader: ModelLoader) -> None:
    loading.deaf = True
    loader.start()
    await loading.half()
    loader.stop()
    with anyio.fail_after(PATIENCE_S), pytest.raises((ModelLoadError, BusyError)):
        async with (await loader.loaded()).engine.generate(token_request()) as generation:
            await generation.result()


async def test_stop_refuses_requests_to_a_ready_model(loading: Loading, loader: ModelLoader) -> None:
    loading.go_on.set()
    loader.start()
    with anyio.fail_after(PATIENCE_S):
        loaded = await loader.loaded()
        loader.stop()
        with pytest.raises(BusyError):
            async with loaded.engine.generate(token_request()):
                pytest.fail("a stopped engine took a request")


async def test_close_frees_a_ready_model(loading: Loading, loader: ModelLoader) -> None:
    loading.go_on.set()
    loader.start()
    with anyio.fail_after(PATIENCE_S):
        await loader.loaded()
        assert not loading.model.closed
        await anyio.to_thread.run_sync(loader.close)
    assert loading.model.closed


async def test_close_frees_a_model_that_was_loaded_in_the_meantime(loading: Loading, loader: ModelLoader) -> None:
    loading.deaf = True
    loader.start()
    await loading.half()
    with anyio.fail_after(PATIENCE_S):
        await anyio.to_thread.run_sync(loader.close)
    assert loading.model.closed


def test_a_loader_that_never_started_closes(loading: Loading) -> None:
    ModelLoader(ModelSource(name="small", load=loading), EngineLimits()).close()
    assert loading.calls == 0
