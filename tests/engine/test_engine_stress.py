import random
from collections.abc import Callable

import anyio
import pytest

from mcp_llama.engine.engine import Engine
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.model import DecodeError, Rows
from mcp_llama.errors import EngineError
from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, finish, request, run, run_all
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S

N_SLOTS = 3
STARTS = ("", "shared start ", "shared start, and more of it that fills a batch ")


def sometimes_no_luck(chance: random.Random, share: float) -> Callable[[Rows], Exception | None]:
    """Fails every decode with a tab in it, and a share of those with several sequences."""

    def fault(rows: Rows) -> Exception | None:
        shared = len(set(rows.slots)) > 1
        return DecodeError("no luck") if ord("\t") in rows.tokens or (shared and chance.random() < share) else None

    return fault


class Caller:
    """Asks for one completion, in one of several ways."""

    def __init__(self, engine: Engine, chance: random.Random) -> None:
        self._engine = engine
        self._streamed = chance.random() < 0.7
        self._prompt = chance.choice(STARTS) + "".join(chance.choices("abc", k=chance.randint(1, 9)))
        self._max_tokens = chance.randint(1, 64)
        self._deltas = chance.randint(0, 6)
        self._call = chance.choice(
            [self.reads, self.reads, self.reads_late, self.leaves, self.is_cancelled, self.fails]
        )

    async def __call__(self) -> None:
        await self._call()

    async def reads(self) -> None:
        result = await run(self._engine, request(self._prompt, self._max_tokens, streamed=self._streamed))
        assert result.text == by_hand(self._prompt, self._max_tokens)

    async def reads_late(self) -> None:
        async with self._engine.generate(request(self._prompt, self._max_tokens)) as generation:
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            assert (await finish(generation)).text == by_hand(self._prompt, self._max_tokens)

    async def leaves(self) -> None:
        text = ""
        async with self._engine.generate(request(self._prompt, self._max_tokens)) as generation:
            for _ in range(self._deltas):
                delta = await generation.next()
                text += delta.text if delta else ""
                if delta and delta.finish:
                    break
        assert by_hand(self._prompt, self._max_tokens).startswith(text)

    async def is_cancelled(self) -> None:
        with anyio.move_on_after(self._deltas / 1000):
            await self.reads()

    async def fails(self) -> None:
        with pytest.raises(EngineError):
            await run(self._engine, request(self._prompt + "\t", self._max_tokens))


@pytest.mark.parametrize("n_cells", [None, 128])
@pytest.mark.parametrize("can_cut", [True, False])
@pytest.mark.parametrize("seed", range(4))
async def test_callers_of_every_kind_do_not_disturb_each_other(
    start: StartEngine, seed: int, can_cut: bool, n_cells: int | None
) -> None:
    chance = random.Random(seed)
    model = FakeModel(n_ctx=128, n_slots=N_SLOTS, n_batch=16, n_cells=n_cells, can_cut=can_cut)
    # Without cutting, every sequence of a failed decode starts again.
    model.fault = sometimes_no_luck(random.Random(seed), share=0.1 if can_cut else 0.01)
    engine = start(model, EngineLimits(unread_limit=4, max_queue=100))
    with anyio.fail_after(3 * PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            for _ in range(60):
                tasks.start_soon(Caller(engine, chance))
    model.fault = None
    decodes = len(model.batches)
    await run_all(engine, *(request(f"last {number}", 30) for number in range(N_SLOTS)))
    assert {slot for rows in model.batches[decodes:] for slot in rows.slots} == set(range(N_SLOTS))
