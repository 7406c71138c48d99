"""What a merge may do to a text, and nothing else."""

from itertools import takewhile

from mcp_llama.clients.shapes import Entry
from mcp_llama.clients.target import Target

TARGET = Target(container="mcpServers", name="mcp-llama")
ENTRY: Entry = {"command": "/opt/mcp llama", "args": ["stdio", "--model", "/a/ü.gguf"], "timeout": 600, "on": True}
OTHER: Entry = {"command": "/else"}


def shared_start(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def is_one_insertion(before: str, after: str) -> bool:
    """Whether a text came from another by adding one piece."""
    start = shared_start(before, after)
    end = shared_start(before[::-1], after[::-1])
    return start + end >= len(before) and len(after) > len(before)


def is_insertion_behind_a_comma(before: str, after: str) -> bool:
    """Whether a text came from another by adding one piece, or a comma and a piece behind it."""
    if is_one_insertion(before, after):
        return True
    commas = [place for place in range(1, shared_start(before, after) + 1) if after[place] == ","]
    return any(is_one_insertion(before[place:], after[place + 1 :]) for place in commas)
