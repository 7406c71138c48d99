"""Many calls at once on the real model."""

import gc
import logging
import random
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import anyio
import psutil
import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.llama import LlamaModel, ModelOptions
from tests.backends.one_model import backend_of
from tests.server.client import Connection, Era, ToolCall, task_group
from tests.server.serving import Door, connected_http, every_era, serving
from tests.server.stage import ENGINE_LOGGER, End, EndLog

N_SLOTS = 8
CALLS = 1_000
WARM_CALLS = 300
IN_FLIGHT = 16
BUSY_S = 100
GROWTH = 24 * 2**20
"""More than allocators keep for a rainy day; far less than 700 leaked calls would hold."""

# Their continuations are so certain that the rounding of a larger batch does not change them.
PROMPTS = [
    "1, 2, 3, 4, 5, 6, 7,",
    "a b c d e f g h i",
    "Monday, Tuesday, Wednesday,",
    "January, February, March, April,",
    "ha ha ha ha ha ha ha ha",
    "10 20 30 40 50 60",
    "one two three four five",
    "red red red red red red red",
]
SHORT_PROMPTS = ["one", "two", "red", "blue", "cat", "dog", "sun", "sea"]


@asynccontextmanager
async def real_server(path: Path) -> AsyncGenerator[str]:
    """The URL of a server on the embedded model, which is loaded."""
    # One thread does not wait for another at llama.cpp's barriers while the machine does something else.
    options = ModelOptions(n_ctx=256, n_slots=N_SLOTS, n_threads=1)
    # A queue that leaked a place for every cancelled call would soon be full.
    backend = backend_of("real", partial(LlamaModel, path, options), EngineLimits(max_queue=IN_FLIGHT))
    async with serving(backend) as url:
        await backend.ready(None)
        yield url


@contextmanager
def logged_ends() -> Generator[list[End]]:
    """How sequences end, from now on."""
    ends: list[End] = []
    log = EndLog(ends.append)
    ENGINE_LOGGER.setLevel(logging.INFO)
    ENGINE_LOGGER.addHandler(log)
    yield ends
    ENGINE_LOGGER.removeHandler(log)
    ENGINE_LOGGER.setLevel(logging.NOTSET)


async def run_all(calls: list[ToolCall]) -> None:
    """Run calls side by side."""
    with anyio.fail_after(BUSY_S):
        async with task_group() as tasks:
            for call in calls:
                tasks.start_soon(call.run)


@every_era
async def test_an_answer_does_not_depend_on_what_runs_beside_it(era: Era, real_model_path: Path) -> None:
    asked = [{"prompt": prompt, "max_tokens": 16, "temperature": 0} for prompt in PROMPTS]
    async with (
        real_server(real_model_path) as url,
        connected_http(url, Door("http", era)) as client,
    ):
        alone = [client.tool_call("generate", arguments) for arguments in asked]
        for call in alone:
            await run_all([call])
        together = [client.tool_call("generate", {**arguments, "seed": 1}) for arguments in asked]
        await run_all(together)
    for one, same in zip(alone, together, strict=True):
        assert one.text == one.messages == same.text == same.messages


class Crowd:
    """Calls that follow each other, many at a time; a third of them are cancelled somewhere on their way."""

    def __init__(self) -> None:
        self.started = 0
        self.finished = 0
        self.cancelled = 0
        self.rss: dict[int, int] = {}
        self._chance = random.Random(1)

    async def work(self, connection: Connection) -> None:
        """Call until there have been enough."""
        while self.started < CALLS:
            self.started += 1
            number = self.started
            if number in (WARM_CALLS, CALLS):
                gc.collect()
                self.rss[number] = psutil.Process().memory_info().rss
            max_tokens = self._chance.randint(2, 4)
            arguments = {"prompt": self._chance.choice(SHORT_PROMPTS), "max_tokens": max_tokens, "seed": number}
            call = connection.tool_call("generate", arguments, progress=self._chance.random() < 0.8)
            if self._chance.random() < 1 / 3:
                await self._cancel(connection, call, after=self._chance.randint(0, 3))
            else:
                await call.run()
                assert call.result.structured_content is not None, call.result
                usage = call.result.structured_content["usage"]
                assert 0 <= usage["completion_tokens"] <= max_tokens
                self.finished += 1
            connection.record.clear()

    async def _cancel(self, connection: Connection, call: ToolCall, after: int) -> None:
        async with task_group() as tasks:
            tasks.start_soon(call.run)
            with anyio.move_on_after(0.3 * self._chance.random()):
                await connection.record.wait(lambda: len(call.answers) > after)
            call.scope.cancel()
        self.cancelled += 1


@pytest.mark.timeout(180)
async def test_a_crowd_of_calls_leaves_nothing_behind(real_model_path: Path) -> None:
    crowd = Crowd()
    async with real_server(real_model_path) as url, AsyncExitStack() as stack:
        doors = [Door("http", "modern"), Door("http", "legacy")] * (IN_FLIGHT // 2)
        clients = [await stack.enter_async_context(connected_http(url, door)) for door in doors]
        with logged_ends() as ends, anyio.fail_after(BUSY_S):
            async with task_group() as tasks:
                for client in clients:
                    tasks.start_soon(crowd.work, client)
        assert crowd.finished + crowd.cancelled == CALLS
        assert crowd.cancelled > CALLS // 4
        assert sum(end.reason != "abort" for end in ends) >= crowd.finished
        assert crowd.rss[CALLS] - crowd.rss[WARM_CALLS] < GROWTH, crowd.rss
        await check_all_slots_free(clients)


async def check_all_slots_free(clients: list[Connection]) -> None:
    """As many calls as there are slots are all being answered before the first of them ends."""
    arguments = {"max_tokens": 200, "sampling": {"ignore_eos": True}}
    calls = [
        client.tool_call("generate", {**arguments, "prompt": PROMPTS[number]})
        for number, client in enumerate(clients[:N_SLOTS])
    ]
    with anyio.fail_after(BUSY_S):
        async with task_group() as tasks:
            for call in calls:
                tasks.start_soon(call.run)
            for call in calls:
                await call.heard(lambda news: any("message" in one for one in news))
            assert not any(call.outcome for call in calls)
            tasks.cancel_scope.cancel()
