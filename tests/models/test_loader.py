import asyncio
from contextlib import AsyncExitStack
from types import TracebackType

import anyio
import pytest

from mcp_llama.api import ModelCard, ModelStatus
from mcp_llama.errors import BusyError, ModelLoadError, RequestError
from mcp_llama.models.loader import LoadedModel, ModelLoader
from tests.models.loading import PATIENCE_S, Loading, token_request


async def test_any_number_of_callers_wait_for_one_load(loading: Loading, loader: ModelLoader) -> None:
    loaded: list[LoadedModel] = []

    async def wait() -> None:
        loader.start()
        loaded.append(await loader.loaded())

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(wait)
            await loading.half()
            loading.go_on.set()
    assert len(loaded) == 20
    assert all(each is loaded[0] for each in loaded)
    assert loading.calls == 1
    assert (loaded[0].name, loaded[0].model) == ("small", loading.model)


async def test_the_engine_gets_the_limits(loading: Loading, loader: ModelLoader) -> None:
    loading.go_on.set()
    loading.model.gate.shut()
    loader.start()
    with anyio.fail_after(PATIENCE_S):
        engine = (await loader.loaded()).engine
        async with AsyncExitStack() as running:
            for _ in range(loading.model.n_slots + 3):
                await running.enter_async_context(engine.generate(token_request()))
            with pytest.raises(BusyError):
                await running.enter_async_context(engine.generate(token_request()))
            loading.model.gate.open()


async def test_the_status_goes_from_loading_to_ready(loading: Loading, loader: ModelLoader) -> None:
    assert loader.status() == ModelStatus(name="small", state="loading", loaded=0.0)
    loader.start()
    await loading.half()
    assert loader.status() == ModelStatus(name="small", state="loading", loaded=0.5)
    loading.go_on.set()
    with anyio.fail_after(PATIENCE_S):
        await loader.loaded()
    card = ModelCard(
        name="small",
        architecture="fake",
        parameters=1_000,
        quantisation="F32",
        size=4_000,
        n_ctx_train=512,
        n_ctx=512,
        n_slots=4,
        max_requests=7,
        license=None,
        chat_template=loading.model.chat_template,
    )
    assert loader.status() == ModelStatus(name="small", state="ready", loaded=1.0, card=card)


async def test_starting_again_loads_nothing_again(loading: Loading, loader: ModelLoader) -> None:
    loading.go_on.set()
    for _ in range(3):
        loader.start()
    with anyio.fail_after(PATIENCE_S):
        await loader.loaded()
    loader.start()
    assert loading.calls == 1


async def test_a_failing_load_reaches_all_that_wait_and_all_that_come_later(
    loading: Loading, loader: ModelLoader
) -> None:
    loading.error = ModelLoadError("tiny.gguf is broken.")
    errors: list[str] = []

    async def wait() -> None:
        with pytest.raises(ModelLoadError) as caught:
            await loader.loaded()
        errors.append(str(caught.value))

    loader.start()
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(wait)
            await loading.half()
            loading.go_on.set()
        await wait()
    assert errors == ["tiny.gguf is broken."] * 6
    assert loader.status() == ModelStatus(name="small", state="failed", loaded=0.5, error="tiny.gguf is broken.")


async def test_what_a_native_loader_raises_becomes_a_load_error(loading: Loading, loader: ModelLoader) -> None:
    loading.error = OSError("mmap failed")
    loading.go_on.set()
    loader.start()
    with anyio.fail_after(PATIENCE_S), pytest.raises(ModelLoadError, match=r"^Loading small failed: mmap failed$"):
        await loader.loaded()


async def test_telling_of_a_failure_many_times_keeps_nothing_of_those_who_asked(
    loading: Loading, loader: ModelLoader
) -> None:
    loading.error = ModelLoadError("broken")
    loading.go_on.set()
    loader.start()
    depths: list[int] = []
    with anyio.fail_after(PATIENCE_S):
        for _ in range(20):
            with pytest.raises(ModelLoadError) as caught:
                await loader.loaded()
            depths.append(_depth(caught.value.__traceback__))
    assert depths == [depths[0]] * 20


def _depth(traceback: TracebackType | None) -> int:
    depth = 0
    while traceback is not None:
        depth, traceback = depth + 1, traceback.tb_next
    return depth


async def test_a_caller_that_leaves_disturbs_no_other(loading: Loading, loader: ModelLoader) -> None:
    loader.start()
    loaded: list[LoadedModel] = []

    async def wait() -> None:
        loaded.append(await loader.loaded())

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await loading.half()
            with anyio.move_on_after(0) as left:
                await loader.loaded()
            assert left.cancelled_caught
            loading.go_on.set()
    assert len(loaded) == 1


async def test_a_caller_whose_event_loop_is_gone_disturbs_no_other(
    loading: Loading, loader: ModelLoader, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave() -> None:
        with anyio.move_on_after(0):
            await loader.loaded()

    loader.start()
    await anyio.to_thread.run_sync(lambda: asyncio.run(leave()))
    loading.go_on.set()
    with anyio.fail_after(PATIENCE_S):
        await loader.loaded()
    assert caplog.messages == []


async def test_a_model_without_a_chat_template_says_what_to_use(loading: Loading, loader: ModelLoader) -> None:
    loading.model.chat_template = None
    loading.go_on.set()
    loader.start()
    with anyio.fail_after(PATIENCE_S):
        loaded = await loader.loaded()
    with pytest.raises(RequestError, match=r"^Model 'small' has no chat template\. Use the tool generate"):
        assert loaded.chat_template
    assert loaded.card().chat_template is None
