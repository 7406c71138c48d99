"""Which running sequence should have another lane, so that those which run are neighbours.

llama.cpp computes the rows of neighbouring lanes together, and each such group apart: each reads all weights.
"""

from collections.abc import Collection, Iterable
from itertools import pairwise


def closing_moves(running: Iterable[int], free: Collection[int]) -> list[tuple[int, int]]:
    """Moves, from a running lane to a free one, that let a group of neighbours grow at the cost of a smaller one; the
    best first. There are none if all are neighbours, or where others are in the way.
    """
    groups = sorted(_groups(sorted(running)), key=len)
    for i in reversed(range(1, len(groups))):
        growing, smallest = groups[i], groups[0]
        lanes = [lane for lane in (growing[0] - 1, growing[-1] + 1) if lane in free]
        moves = [(end, lane) for end in {smallest[0], smallest[-1]} for lane in lanes]
        if moves:
            return sorted(moves, key=lambda move: (-abs(move[0] - move[1]), move))
    return []


def _groups(lanes: list[int]) -> list[list[int]]:
    groups = [lanes[:1]]
    for before, lane in pairwise(lanes):
        if lane == before + 1:
            groups[-1].append(lane)
        else:
            groups.append([lane])
    return groups
