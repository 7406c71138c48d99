"""Which models are loaded, and which of them leaves when another needs its memory."""

import gc

import anyio
import pytest

from mcp_llama.errors import ModelLoadError, UnavailableError, UnknownModelError
from mcp_llama.models.pool import ModelPool
from mcp_llama.models.room import PoolBounds
from tests.engine.exported import exported
from tests.models.pools import SIZE, Shelf, generation, pool_of, touch

TWO = PoolBounds(memory=2 * SIZE)
"""Room for two models."""


def states(pool: ModelPool, shelf: Shelf) -> dict[str, str]:
    return {name: pool.status(name).state for name in shelf.sizes}


async def test_the_default_model_is_loaded_at_the_start_and_others_when_they_are_named() -> None:
    shelf = Shelf("a", "b", "c")
    async with pool_of(shelf) as pool:
        await touch(pool, None)
        assert shelf.loads == ["a"]
        async with pool.use("b") as loaded:
            assert loaded.name == "b"
        await touch(pool, "a", "b", None)
        assert shelf.loads == ["a", "b"]
        assert states(pool, shelf) == {"a": "ready", "b": "ready", "c": "unloaded"}


async def test_all_models_are_listed_the_default_first_then_those_that_are_there() -> None:
    shelf = Shelf("b", "a", "c")
    async with pool_of(shelf) as pool:
        await touch(pool, None, "c")
        listed = [(status.name, status.state) for status in await pool.statuses()]
        assert listed == [("b", "ready"), ("c", "ready"), ("a", "unloaded")]


async def test_one_load_serves_all_who_wait_for_it() -> None:
    shelf = Shelf("a", "b")
    shelf.hold("b")
    async with pool_of(shelf) as pool:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(touch, pool, "b")
            await shelf.waits("b")
            await touch(pool, "a")
            shelf.let_go()
        assert shelf.loads.count("b") == 1


async def test_a_name_may_be_short_and_its_model_is_loaded_once() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf) as pool:
        await touch(pool, "B", "b", "B")
        assert shelf.loads.count("b") == 1
        assert pool.status("B").name == "b"


async def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf) as pool:
        with pytest.raises(UnknownModelError, match=r"Available: a, b\."):
            await touch(pool, "z")
        alone = ModelPool(shelf.source("a"))
        with pytest.raises(UnknownModelError, match=r"Available: a\."):
            await touch(alone, "b")


async def test_the_least_recently_used_model_leaves_when_another_needs_its_memory() -> None:
    shelf = Shelf("a", "b", "c", "d")
    async with pool_of(shelf, TWO) as pool:
        await touch(pool, "a", "b", "a", "c")
        assert shelf.present == {"a", "c"}
        await touch(pool, "d")
        assert shelf.present == {"c", "d"}
        assert states(pool, shelf) == {"a": "unloaded", "b": "unloaded", "c": "ready", "d": "ready"}
        await touch(pool, "a")
        assert shelf.present == {"a", "d"}


async def test_as_many_leave_as_must() -> None:
    shelf = Shelf("a", "b", "c", "large")
    shelf.sizes["large"] = 2 * SIZE + 1
    async with pool_of(shelf, PoolBounds(memory=3 * SIZE)) as pool:
        await touch(pool, "a", "b", "c", "large")
        assert shelf.present == {"large"}


async def test_a_model_that_runs_stays_and_the_other_one_waits_for_its_end() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf, PoolBounds(memory=SIZE)) as pool:
        async with anyio.create_task_group() as tasks, await generation(pool, "a") as running:
            tasks.start_soon(touch, pool, "b")
            await shelf.settled()
            assert (await running.result()).usage.completion_tokens == 4
            assert shelf.loads == ["a"]
        assert shelf.loads == ["a", "b"]
        assert shelf.present == {"b"}


async def test_a_request_that_has_not_begun_yet_keeps_its_model() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf, PoolBounds(memory=SIZE)) as pool:
        waiting = await generation(pool, "a")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(touch, pool, "b")
            await shelf.settled()
            async with waiting:
                assert (await waiting.result()).usage.completion_tokens == 4
        assert shelf.loads == ["a", "b"]


async def test_a_request_that_was_dropped_before_it_began_keeps_nothing() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf, PoolBounds(memory=SIZE)) as pool:
        await generation(pool, "a")
        gc.collect()
        await touch(pool, "b")
        assert shelf.present == {"b"}


async def test_whoever_prepares_a_request_keeps_its_model() -> None:
    shelf = Shelf("a", "b")
    bounds = PoolBounds(memory=SIZE)
    async with pool_of(shelf, bounds) as pool, anyio.create_task_group() as tasks, pool.use("a"):
        tasks.start_soon(touch, pool, "b")
        await shelf.settled()
        assert shelf.present == {"a"}


async def test_a_model_that_is_loading_for_nobody_any_more_may_leave() -> None:
    shelf = Shelf("a", "b")
    shelf.hold("a")
    async with pool_of(shelf, PoolBounds(memory=SIZE)) as pool, anyio.create_task_group() as tasks:
        await shelf.waits("a")
        tasks.start_soon(touch, pool, "b")
        await shelf.settled()
        assert shelf.loads == ["a"]
        shelf.let_go()


async def test_who_stops_waiting_for_room_lets_the_next_one_have_it() -> None:
    shelf = Shelf("a", "b", "c")
    async with pool_of(shelf, PoolBounds(memory=SIZE)) as pool:
        async with await generation(pool, "a"), anyio.create_task_group() as tasks:
            tasks.start_soon(touch, pool, "b")
            await shelf.settled()
            tasks.cancel_scope.cancel()
        await touch(pool, "c")
    assert shelf.loads == ["a", "c"]


async def test_pinned_models_are_loaded_at_the_start_and_stay() -> None:
    shelf = Shelf("a", "b", "c", "d")
    shelf.hold("b")
    async with pool_of(shelf, PoolBounds(memory=2 * SIZE, pinned=("b",))) as pool:
        await shelf.waits("b")
        shelf.let_go()
        await touch(pool, "b")
        assert shelf.loads == ["a", "b"]
        await touch(pool, "c", "d", "c")
        assert shelf.present == {"b", "c"}


async def test_a_model_that_can_not_fit_is_refused_with_the_numbers_and_nothing_leaves() -> None:
    shelf = Shelf("a", "large")
    shelf.sizes["large"] = 3 * 2**30
    async with pool_of(shelf, PoolBounds(memory=2 * 2**30)) as pool:
        await touch(pool, "a")
        with pytest.raises(ModelLoadError, match=r"large needs about 3\.0 GiB, but models may take 2\.0 GiB\. Raise"):
            await touch(pool, "large")
        assert shelf.present == {"a"}


async def test_a_model_that_can_not_fit_beside_the_pinned_ones_is_refused() -> None:
    shelf = Shelf("a", "b")
    shelf.sizes = {"a": 2**30, "b": 3 * 2**29}
    async with pool_of(shelf, PoolBounds(memory=2 * 2**30, pinned=("a",))) as pool:
        with pytest.raises(
            ModelLoadError, match=r"b needs about 1\.5 GiB.* 2\.0 GiB, of which pinned models take 1\.0"
        ):
            await touch(pool, "b")


async def test_a_model_that_nobody_uses_leaves_after_a_while_and_comes_back() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf, PoolBounds(idle_s=0.05)) as pool:
        await touch(pool, "a", "b")
        await shelf.freed("a")
        await shelf.freed("b")
        assert states(pool, shelf) == {"a": "unloaded", "b": "unloaded"}
        await touch(pool, "b")
        assert shelf.loads == ["a", "b", "b"]


async def test_a_model_that_runs_or_is_pinned_does_not_leave_however_long_it_takes() -> None:
    shelf = Shelf("a", "b", "c")
    async with pool_of(shelf, PoolBounds(idle_s=0.02, pinned=("c",))) as pool:
        await touch(pool, "c")
        async with await generation(pool, "a") as running:
            await touch(pool, "b")
            await shelf.freed("b")
            assert shelf.present == {"a", "c"}
            await running.result()
        await shelf.freed("a")
        assert shelf.present == {"c"}


async def test_all_who_wait_for_a_load_hear_why_it_failed_and_the_next_one_tries_again() -> None:
    shelf = Shelf("a", "b")
    shelf.hold("b")
    shelf.errors["b"] = ModelLoadError("The file is damaged.")
    heard: list[str] = []

    async def ask(pool: ModelPool) -> None:
        with pytest.raises(ModelLoadError) as caught:
            await touch(pool, "b")
        heard.append(str(caught.value))

    async with pool_of(shelf) as pool:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask, pool)
            await shelf.waits("b")
            await shelf.settled()
            shelf.let_go()
        assert heard == ["The file is damaged."] * 3
        assert (pool.status("b").state, pool.status("b").error) == ("failed", "The file is damaged.")
        await touch(pool, "b")
        assert (shelf.loads.count("b"), pool.status("b").state) == (2, "ready")


async def test_a_load_goes_on_when_the_one_who_asked_for_it_has_left() -> None:
    shelf = Shelf("a", "b")
    shelf.hold("b")
    async with pool_of(shelf) as pool:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(touch, pool, "b")
            await shelf.waits("b")
            tasks.cancel_scope.cancel()
        shelf.let_go()
        await touch(pool, "b")
        assert shelf.loads.count("b") == 1


async def test_a_pool_that_stops_loads_nothing_more_and_frees_all() -> None:
    shelf = Shelf("a", "b", "c")
    async with pool_of(shelf) as pool:
        await touch(pool, "a", "b")
        pool.stop()
        with pytest.raises(UnavailableError, match="the server is stopping"):
            await touch(pool, "c")
    assert not shelf.present


async def test_who_waits_for_room_hears_that_the_pool_stops() -> None:
    shelf = Shelf("a", "b")

    async def ask(pool: ModelPool) -> None:
        with pytest.raises(UnavailableError, match="the server is stopping"):
            await touch(pool, "b")

    async with (
        pool_of(shelf, PoolBounds(memory=SIZE)) as pool,
        await generation(pool, "a"),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(ask, pool)
        await shelf.settled()
        pool.stop()


async def test_what_is_counted_tells_the_models_apart_and_outlasts_them() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf, PoolBounds(memory=SIZE)) as pool:
        for name in ("a", "b", "a"):
            async with await generation(pool, name) as running:
                await running.result()
        counts = exported(pool.metrics.registry)
        finished = "mcp_llama_requests_finished_total"
        assert counts[f'{finished}{{finish_reason="length",model="a"}}'] == 2
        assert counts[f'{finished}{{finish_reason="length",model="b"}}'] == 1
        assert sum("mcp_llama_llama_cpu_seconds_total" in name for name in counts) == 1
