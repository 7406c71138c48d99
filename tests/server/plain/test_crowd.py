"""Two hundred streams at once on a small server, of which a third is left alone in one way or another."""

import gc
import random
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import anyio
import httpx2
import psutil
import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.server.calls import Calls
from mcp_llama.server.settings import ServerLimits
from tests.server.client import task_group
from tests.server.plain.counts import counts_of
from tests.server.plain.sizes import BIG_TEXT, BIG_TOKENS, TINY_BUFFER
from tests.server.plain.streams import Asker, asker
from tests.server.plain.ways import GENERATE, WAYS, Way, scripts
from tests.server.scene import SPEECH, Scene, split_bytes
from tests.server.serving import in_process, staged
from tests.server.stage import Stage

CROWD = 200
READERS, LEAVERS, STALLERS = 133, 58, 9
N_SLOTS = 8
BUSY_S = 60
GROWTH = 64 * 2**20
"""More than allocators keep for a rainy day; far less than what 200 streams would hold if none was ever dropped."""


def text_of(number: int) -> str:
    return f"{number}: {SPEECH}" * 2


SCENE = Scene(
    scripts=scripts(big=BIG_TOKENS, **{f"prompt {number}": split_bytes(text_of(number), 5) for number in range(CROWD)}),
    n_slots=N_SLOTS,
    engine=EngineLimits(max_queue=CROWD, unread_limit=8, stall_timeout=2),
    server=ServerLimits(stall_timeout=2, ping_s=0.05),
)


class Crowd:
    """Clients that come all at once, by every way; those that will stall are the first, and take all slots."""

    def __init__(self, url: str, seed: int) -> None:
        self.exact = 0
        self.left = 0
        self.stalled = 0
        self._url = url
        self._chance = random.Random(seed)
        self._stalling = 0
        self._all_stalled = anyio.Event()
        self._all_served = anyio.Event()

    async def come(self) -> None:
        """Come, and stay until each has got its text or has given up."""
        async with asker(self._url) as readers, asker(self._url, TINY_BUFFER) as stallers, task_group() as tasks:
            for _ in range(STALLERS):
                tasks.start_soon(self._stall, stallers, self._chance.choice(WAYS), self._chance.randint(0, 20))
            await self._all_stalled.wait()
            for number in range(READERS + LEAVERS):
                way = self._chance.choice(WAYS)
                if number < READERS:
                    tasks.start_soon(self._read, readers, way, number)
                else:
                    tasks.start_soon(self._leave, readers, way, number, self._chance.randint(0, 20))

    async def _read(self, client: Asker, way: Way, number: int) -> None:
        stream = await client.read(way, f"prompt {number}", max_tokens=300)
        assert (stream.text, stream.finish_reason) == (text_of(number), "stop")
        self.exact += 1
        if self.exact == READERS:
            self._all_served.set()

    async def _leave(self, client: Asker, way: Way, number: int, items: int) -> None:
        async with client.stream(way, f"prompt {number}", max_tokens=300) as stream:
            with suppress(EOFError):
                for _ in range(items):
                    await stream.item()
        self.left += 1

    async def _stall(self, client: Asker, way: Way, items: int) -> None:
        async with client.stream(way, "big", max_tokens=900) as stream:
            self._stalling += 1
            if self._stalling == STALLERS:
                self._all_stalled.set()
            with suppress(EOFError):
                for _ in range(items):
                    await stream.item()
            await self._all_served.wait()
            with suppress(httpx2.RemoteProtocolError):
                await stream.rest()
            assert BIG_TEXT.startswith(stream.text)
        self.stalled += 1


@pytest.mark.timeout(180)
async def test_a_crowd_of_streams_leaves_nothing_behind(calls: Callable[[], Calls]) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        memory: list[int] = []
        for seed in range(2):
            crowd = Crowd(url, seed)
            with anyio.fail_after(BUSY_S):
                await crowd.come()
                await calls().idle()
            assert (crowd.exact, crowd.left, crowd.stalled) == (READERS, LEAVERS, STALLERS)
            gc.collect()
            memory.append(psutil.Process().memory_info().rss)
        assert stage.running() == 0
        counts = await counts_of(client)
        assert counts.present == 0
        assert counts.stalled >= N_SLOTS
        assert memory[1] - memory[0] < GROWTH
        await check_all_slots_free(stage, client)


async def check_all_slots_free(stage: Stage, client: Asker) -> None:
    """As many streams as there are slots are computed together."""
    stage.shut()
    async with AsyncExitStack() as stack:
        for number in range(N_SLOTS):
            await stack.enter_async_context(client.stream(GENERATE, f"prompt {number}", max_tokens=300))
        await in_process(stage).advance_until(lambda rows: len(rows) == N_SLOTS)
    stage.open()
