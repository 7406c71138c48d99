"""An engine whose slots share too few cells for all that is asked for."""

import anyio

from mcp_llama.engine.generation import Generation
from mcp_llama.engine.types import TokenDelta, TokenRequest
from tests.engine.sequences import request
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S

POOL = 112
OLD, YOUNG = "the older", "the younger"
MOST = 80
"""Tokens after each prompt: more than the cells of two such requests."""


def pool_model(*, n_slots: int = 3, n_batch: int = 64, can_cut: bool = True) -> FakeModel:
    """A model whose every decode waits for the test."""
    model = FakeModel(n_ctx=POOL, n_slots=n_slots, n_batch=n_batch, n_cells=POOL, can_cut=can_cut)
    model.gate.shut()
    return model


def asked(prompt: str, deadline: float | None = None) -> TokenRequest:
    return request(prompt, MOST, deadline=deadline)


async def until_preempted(model: FakeModel, young: Generation) -> None:
    """Let decodes go until a request has lost its slot; the next decode is held."""
    await model.gate.held()
    for _ in range(2 * POOL):
        if young.sequence.admitted is not None and young.sequence.slot is None:
            return
        model.gate.step()
        await model.gate.held()
    raise AssertionError("nothing was preempted")


async def read(generation: Generation) -> list[TokenDelta]:
    """Every delta as it comes."""
    with anyio.fail_after(PATIENCE_S):
        return [delta async for delta in generation]


async def delivered() -> None:
    """Let the event loop deliver what the engine has handed over."""
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
