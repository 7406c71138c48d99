"""Outbox: the deltas of a step on their way to the event loop. Engine thread only."""

import asyncio

from mcp_llama.engine.generation import Generation
from mcp_llama.engine.sequence import Sequence
from mcp_llama.engine.types import Finish, TokenDelta

Deliveries = list[tuple[Generation, TokenDelta]]


class Outbox:
    """Collects deltas until they are sent, all together."""

    def __init__(self) -> None:
        self._deliveries: Deliveries = []

    def put(self, sequence: Sequence, text: str = "", finish: Finish | None = None) -> None:
        """Add what is new of a sequence; for one that is answered whole, it waits for the end."""
        if not sequence.request.streamed:
            sequence.unsent.append(text)
            if finish is None:
                return
            text = "".join(sequence.unsent)
        self._deliveries.append((sequence.generation, sequence.delta(text, finish)))

    def send(self) -> list[Generation]:
        """Hand all deltas over, with one call for each event loop; those whose loop is closed, and readers gone."""
        deliveries, self._deliveries = self._deliveries, []
        by_loop: dict[asyncio.AbstractEventLoop, Deliveries] = {}
        for delivery in deliveries:
            by_loop.setdefault(delivery[0].loop, []).append(delivery)
        lost: list[Generation] = []
        for loop, group in by_loop.items():
            try:
                loop.call_soon_threadsafe(_put, group)
            except RuntimeError:
                lost += [generation for generation, _ in group]
        return lost


def _put(deliveries: Deliveries) -> None:
    for generation, delta in deliveries:
        generation.put(delta)
