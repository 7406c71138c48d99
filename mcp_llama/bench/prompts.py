"""Prompts: texts that no other turn of the run has, of about so many tokens."""

import random

from mcp_llama.bench.event import Turn
from mcp_llama.bench.plan import Plan
from mcp_llama.bench.words import WORDS

_STORM_PROMPTS = 32


class Prompts:
    """The prompts of one turn. Every target gets the same ones in it, and no two begin with the same two words."""

    def __init__(self, first: int) -> None:
        self._next = first

    def text(self, words: int) -> str:
        """A prompt of so many words that is like none before it.

        While there are words enough, not even the first word of two prompts is the same.
        """
        number, self._next = self._next, self._next + 1
        turns, place = divmod(number, len(WORDS))
        second = WORDS[(place + turns + 1) % len(WORDS)]
        rest = random.Random(number).choices(WORDS, k=max(0, words - 2))
        return " ".join([WORDS[place].capitalize(), second, *rest])


def prompts_of(plan: Plan, turn: Turn) -> Prompts:
    """The prompts of a turn of a plan."""
    first = 0
    seen: set[tuple[str, int, int]] = set()
    for other in plan.turns():
        key = (other.workload, other.streams, other.round)
        if key == (turn.workload, turn.streams, turn.round):
            break
        if key not in seen:
            seen.add(key)
            first += _count(other)
    return Prompts(first)


def _count(turn: Turn) -> int:
    """At least so many prompts as the turn takes."""
    match turn.workload:
        case "shared":
            return 1
        case "cancel":
            return 2 * turn.streams + _STORM_PROMPTS
        case _:
            return turn.streams + 1
