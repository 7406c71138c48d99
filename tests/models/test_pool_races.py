"""What happens at the same time in a pool: leaving and coming, ends and failures, those who give up."""

import asyncio
import gc
import threading
import weakref

import anyio
import anyio.to_thread
import pytest

from mcp_llama.engine.embedding import Embedding
from mcp_llama.engine.engine import Engine
from mcp_llama.engine.sequence import Sequence
from mcp_llama.engine.token_loop import TokenLoop
from mcp_llama.errors import BusyError, ModelLoadError, UnavailableError, UnknownModelError
from mcp_llama.models.pool import ModelPool
from mcp_llama.models.room import PoolBounds
from tests.engine.clock import Clock
from tests.engine.exported import exported
from tests.engine.sequences import request
from tests.gate import PATIENCE_S
from tests.models.pools import SIZE, Shelf, generation, pool_of, touch

ONE = PoolBounds(memory=SIZE)
"""Room for one model."""


async def test_a_model_that_is_still_being_freed_takes_its_memory_though_its_cause_gave_up() -> None:
    shelf = Shelf("a", "b", "c")
    async with pool_of(shelf, ONE) as pool:
        await touch(pool, "a")
        shelf.stick("a")
        # A cancellation of asyncio's own goes through anyio's shields.
        asking = asyncio.create_task(touch(pool, "b"))
        await shelf.waits("a")
        asking.cancel()
        await asyncio.wait([asking])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(touch, pool, "c")
            await shelf.settled()
            assert shelf.loads == ["a"]
            shelf.let_go()
        assert shelf.loads == ["a", "c"]
    assert shelf.most_taken == SIZE


async def test_who_names_a_model_that_is_being_freed_waits_for_that_and_loads_it_again() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf, ONE) as pool:
        await touch(pool, "a")
        shelf.stick("a")
        asking = asyncio.create_task(touch(pool, "b"))
        await shelf.waits("a")
        asking.cancel()
        await asyncio.wait([asking])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(touch, pool, "a")
            await shelf.settled()
            assert shelf.loads == ["a"]
            shelf.let_go()
        assert shelf.loads == ["a", "a"]
    assert shelf.most_taken == SIZE


async def test_a_model_is_never_there_twice_though_there_is_memory_for_it() -> None:
    shelf = Shelf("a", "b")
    clock = Clock()
    async with pool_of(shelf, PoolBounds(idle_s=60), clock.monotonic) as pool:
        await touch(pool, "a", "b")
        shelf.stick("a")
        clock.now += 61
        await touch(pool, "b")
        await shelf.waits("a")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(touch, pool, "a")
            await shelf.settled()
            assert shelf.loads == ["a", "b"]
            shelf.let_go()
        assert shelf.loads == ["a", "b", "a"]
    assert shelf.most_taken == 2 * SIZE


async def test_the_end_waits_for_a_model_that_was_leaving_already() -> None:
    shelf = Shelf("a", "b")
    clock = Clock()
    async with pool_of(shelf, PoolBounds(idle_s=60), clock.monotonic) as pool:
        await touch(pool, "a", "b")
        shelf.stick("a")
        clock.now += 61
        await touch(pool, "b")
        await shelf.waits("a")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pool.close)
            await shelf.settled()
            assert "a" in shelf.present
            shelf.let_go()
        assert not shelf.present


async def test_a_request_that_is_dropped_before_it_began_wakes_who_waits_for_its_memory() -> None:
    shelf = Shelf("a", "b")
    gc.disable()
    try:
        async with pool_of(shelf, ONE) as pool, anyio.create_task_group() as tasks:
            waiting = await generation(pool, "a")
            tasks.start_soon(touch, pool, "b")
            await shelf.settled()
            assert shelf.loads == ["a"]
            del waiting
        assert shelf.loads == ["a", "b"]
    finally:
        gc.enable()


async def test_a_request_that_a_full_queue_refused_keeps_nothing() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf, ONE) as pool:
        refused = await generation(pool, "a")
        async with pool.use("a") as loaded:
            refuse_all(loaded.engine)
            embedding = loaded.engine.embed([[1]], 0.0)
        for handle in (refused, embedding):
            with pytest.raises(BusyError):
                async with handle:
                    pass
        await touch(pool, "b")
        assert shelf.present == {"b"}


def refuse_all(engine: Engine) -> None:
    def submit(sequence: Sequence) -> None:
        del sequence
        raise BusyError("full", 1)

    def submit_embedding(embedding: Embedding) -> None:
        del embedding
        raise BusyError("full", 1)

    engine.submit = submit
    engine.submit_embedding = submit_embedding


async def test_vectors_that_are_being_computed_keep_their_model() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf, ONE) as pool:
        async with pool.use("a") as loaded:
            embedding = loaded.engine.embed([[1, 2]], 0.0)
        async with anyio.create_task_group() as tasks, embedding:
            tasks.start_soon(touch, pool, "b")
            await embedding.result()
            await shelf.settled()
            assert shelf.loads == ["a"]
        assert shelf.loads == ["a", "b"]


async def test_a_model_in_steady_use_gives_way_to_the_one_that_waits() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf, ONE) as pool:

        async def second() -> None:
            async with pool.use("a", in_turn=True):
                assert shelf.loads == ["a", "b", "a"]

        async with anyio.create_task_group() as tasks, await generation(pool, "a") as first:
            tasks.start_soon(touch, pool, "b")
            await shelf.settled()
            tasks.start_soon(second)
            await shelf.settled()
            # Who has it already does not wait behind those who wait for its end.
            await touch(pool, "a")
            await first.result()


async def test_a_model_that_is_there_is_not_kept_back_by_others_that_come_and_go() -> None:
    shelf = Shelf("a", "b", "c")
    async with pool_of(shelf, PoolBounds(memory=2 * SIZE)) as pool, anyio.create_task_group() as tasks:
        await touch(pool, "b", "a")
        async with pool.use("a"), pool.use("b"):
            hasty = asyncio.create_task(touch(pool, "c"))
            await shelf.settled()
            hasty.cancel()
            await asyncio.wait([hasty])
        shelf.stick("b")
        shelf.hold("c")
        tasks.start_soon(touch, pool, "c")
        for moving in ("b", "c"):
            await shelf.waits(moving)
            with anyio.fail_after(PATIENCE_S):
                async with pool.use("a", in_turn=True):
                    assert pool.status("c").state != "ready"
            shelf.let_go(moving)


async def test_those_who_want_the_same_model_share_its_place_in_the_queue() -> None:
    shelf = Shelf("a", "b", "c")
    async with pool_of(shelf, ONE) as pool, anyio.create_task_group() as tasks, await generation(pool, "a"):
        for name in ("b", "c", "b", "c"):
            tasks.start_soon(touch, pool, name)
            await shelf.settled()
    assert shelf.loads == ["a", "b", "c"]


async def test_who_shared_the_place_of_one_who_gave_up_is_served_too() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf, ONE) as pool, anyio.create_task_group() as tasks, await generation(pool, "a"):
        hasty = asyncio.create_task(touch(pool, "b"))
        await shelf.settled()
        tasks.start_soon(touch, pool, "b")
        await shelf.settled()
        hasty.cancel()
        await asyncio.wait([hasty])
    assert shelf.loads == ["a", "b"]


async def test_a_pinned_model_gives_way_to_nobody() -> None:
    shelf = Shelf("a", "b", "c")
    bounds = PoolBounds(memory=2 * SIZE, pinned=("a",))
    async with pool_of(shelf, bounds) as pool, await generation(pool, "b"), anyio.create_task_group() as tasks:
        tasks.start_soon(touch, pool, "c")
        await shelf.settled()
        async with pool.use("a", in_turn=True):
            assert "c" not in shelf.loads
        tasks.cancel_scope.cancel()


async def test_who_stopped_waiting_for_room_keeps_nobody_back() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf, ONE) as pool, await generation(pool, "a"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(touch, pool, "b")
            await shelf.settled()
            tasks.cancel_scope.cancel()
        async with pool.use("a", in_turn=True):
            assert shelf.loads == ["a"]


async def test_the_default_model_is_loaded_again_though_it_takes_more_than_all_may() -> None:
    shelf = Shelf("a", "b")
    shelf.sizes = {"a": 3 * SIZE, "b": SIZE}
    async with pool_of(shelf, PoolBounds(memory=2 * SIZE)) as pool:
        await touch(pool, "a", "b")
        assert shelf.present == {"b"}
        await touch(pool, None)
        assert shelf.present == {"a"}


async def test_the_default_model_is_loaded_again_beside_the_pinned_ones() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf, PoolBounds(memory=SIZE, pinned=("b",))) as pool:
        await touch(pool, "b")
        assert shelf.present == {"b"}
        await touch(pool, "a")
        assert shelf.present == {"a", "b"}


async def test_idleness_counts_from_the_end_of_the_load() -> None:
    shelf = Shelf("a", "b")
    clock = Clock()
    shelf.hold("a")
    async with pool_of(shelf, PoolBounds(idle_s=60), clock.monotonic) as pool:
        await shelf.waits("a")
        clock.now += 100
        shelf.let_go()
        await touch(pool, "b")
        await anyio.to_thread.run_sync(wait_for_loads)
        await shelf.settled()
        clock.now += 59
        await touch(pool, "b")
        await shelf.settled()
        assert shelf.present == {"a", "b"}
        clock.now += 1
        await touch(pool, "b")
        await shelf.freed("a")
        assert pool.status("b").state == "ready"


def wait_for_loads() -> None:
    for thread in threading.enumerate():
        if thread.name == "model-loader":
            thread.join(PATIENCE_S)


async def test_a_pinned_model_that_nobody_uses_keeps_nothing_busy() -> None:
    shelf = Shelf("a", "b")
    clock = Clock()
    async with pool_of(shelf, PoolBounds(idle_s=60, pinned=("a",)), clock.monotonic) as pool:
        await touch(pool, "a", "b")
        clock.now += 100
        await touch(pool, "b")
        await anyio.wait_all_tasks_blocked()
        assert shelf.present == {"a", "b"}


async def test_what_a_model_takes_counts_where_it_is_more_than_was_thought() -> None:
    shelf = Shelf("a", "b", "c")
    async with pool_of(shelf, PoolBounds(memory=3 * SIZE)) as pool:
        await touch(pool, "a", "b")
        shelf.models["b"].memory = 2 * SIZE
        await touch(pool, "c")
        assert shelf.present == {"b", "c"}
        # It does not count what it computes with.
        shelf.models["b"].memory = shelf.models["c"].memory = 1
        await touch(pool, "a", "b")
        assert shelf.present == {"a", "b", "c"}
        shelf.sizes["d"] = SIZE
        await touch(pool, "d")
        assert shelf.present == {"a", "b", "d"}


async def test_a_load_that_fails_at_once_is_not_tried_again_for_the_same_request() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf) as pool:
        for tries in range(1, 20):
            shelf.errors["b"] = ModelLoadError("The file is damaged.")
            with pytest.raises(ModelLoadError, match="damaged"):
                await touch(pool, "b")
            assert shelf.loads.count("b") == tries


async def test_a_load_that_fails_leaves_its_room_to_those_who_wait() -> None:
    shelf = Shelf("a", "b", "c")
    shelf.hold("b")
    shelf.errors["b"] = ModelLoadError("The file is damaged.")
    async with pool_of(shelf, ONE) as pool:

        async def ask() -> None:
            with pytest.raises(ModelLoadError, match="damaged"):
                await touch(pool, "b")

        await touch(pool, "a")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await shelf.waits("b")
            tasks.start_soon(touch, pool, "c")
            await shelf.settled()
            assert shelf.loads == ["a", "b"]
            shelf.let_go()
        assert shelf.present == {"c"}
    assert shelf.most_taken == SIZE


async def test_a_pool_that_stops_ends_a_load_and_tells_who_waits_for_it() -> None:
    shelf = Shelf("a", "b")
    shelf.hold("b")
    async with pool_of(shelf) as pool:

        async def ask() -> None:
            with pytest.raises(ModelLoadError, match="the server is shutting down"):
                await touch(pool, "b")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await shelf.waits("b")
            pool.stop()
    assert shelf.loads == ["a", "b"]


async def test_a_pool_that_stops_while_it_makes_room_begins_no_load() -> None:
    shelf = Shelf("a", "b", "c")
    async with pool_of(shelf, ONE) as pool:

        async def ask() -> None:
            with pytest.raises(UnavailableError, match="the server is stopping"):
                await touch(pool, "b")

        await touch(pool, "a")
        shelf.stick("a")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await shelf.waits("a")
            sharing = asyncio.create_task(touch(pool, "b"))
            await shelf.settled()
            pool.stop()
            with pytest.raises(UnavailableError, match="the server is stopping"):
                await touch(pool, "c")
            await shelf.settled()
            assert isinstance(sharing.exception(), UnavailableError)
            shelf.let_go()
    assert shelf.loads == ["a"]


async def test_closing_while_someone_waits_for_room_ends_both() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf, ONE) as pool:

        async def ask() -> None:
            with pytest.raises(UnavailableError, match="the server is stopping"):
                await touch(pool, "b")

        async with await generation(pool, "a"), anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await shelf.settled()
            await pool.close()
        assert not shelf.present


async def test_a_model_found_while_others_leave_does_not_disturb_that() -> None:
    shelf = Shelf("a", "b", "c")
    async with pool_of(shelf) as pool:
        await touch(pool, "a", "b")
        shelf.stick("a")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pool.close)
            await shelf.waits("a")
            with pytest.raises(UnavailableError):
                await touch(pool, "c")
            shelf.let_go()
        assert not shelf.present


async def test_nothing_of_a_model_is_kept_after_it_has_left() -> None:
    shelf = Shelf("a", "b")
    earlier = weakref.WeakSet(token_loops())
    async with pool_of(shelf, ONE) as pool:
        async with await generation(pool, "a") as running:
            await running.result()
        del running
        engine = await engine_of(pool, "a")
        (token_loop,) = [weakref.ref(each) for each in token_loops() if each not in earlier]
        await touch(pool, "b")
        gc.collect()
        assert engine() is None
        assert token_loop() is None
        counts = exported(pool.metrics.registry)
        assert counts['llamacpp:requests_processing{model="a"}'] == 0
        assert counts['mcp_llama_requests_finished_total{finish_reason="length",model="a"}'] == 1


def token_loops() -> list[TokenLoop]:
    return [each for each in gc.get_objects() if isinstance(each, TokenLoop)]


async def engine_of(pool: ModelPool, name: str) -> "weakref.ref[Engine]":
    async with pool.use(name) as loaded:
        loaded.engine.generate(request("never entered", 1))
        return weakref.ref(loaded.engine)


async def test_a_model_that_is_there_is_found_without_a_look_at_the_shelf() -> None:
    shelf = Shelf("a", "b")
    async with pool_of(shelf) as pool:
        await touch(pool, None, "a", "B", "b", "B")
        assert shelf.looks == ["B"]


async def test_a_model_that_left_is_looked_for_again_because_its_file_may_be_another() -> None:
    shelf = Shelf("a", "b", "c")
    async with pool_of(shelf, PoolBounds(memory=2 * SIZE)) as pool:
        await touch(pool, "c", "a", "b")
        assert shelf.present == {"a", "b"}
        shelf.sizes["c"] = 2 * SIZE
        await touch(pool, "c")
        assert shelf.present == {"c"}
        await touch(pool, "a")
        del shelf.sizes["c"]
        with pytest.raises(UnknownModelError):
            await touch(pool, "c")
