"""Where the values of a YAML text are."""

from dataclasses import dataclass
from typing import Any, cast

from ruamel.yaml import YAML, YAMLError

from mcp_llama.clients.failure import MergeError


def parser() -> Any:
    """A parser of YAML 1.2 that tells places and refuses keys that come twice."""
    made: Any = YAML(typ="safe", pure=True)
    # YAML lets an anchor be used again; the library warns of it on stderr.
    made.composer.warn_double_anchors = False
    return made


def load(text: str) -> dict[str, object] | None:
    """What a text says, or None if it says nothing.

    Raises:
        MergeError: it is no YAML, or no mapping.
    """
    try:
        data: object = parser().load(text)
    except (YAMLError, ValueError) as error:
        mark: Any = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "it"
        raise MergeError(f"{where} is not YAML: {getattr(error, 'problem', None) or error}") from error
    if data is not None and not isinstance(data, dict):
        raise MergeError("it is YAML, but not a mapping")
    return cast(dict[str, object] | None, data)


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a text, with the node that the parser made of it."""

    text: str
    raw: Any

    @property
    def start(self) -> int:
        """Where it begins."""
        return self.raw.start_mark.index

    @property
    def column(self) -> int:
        """How far from the left it begins."""
        return self.raw.start_mark.column

    @property
    def flow(self) -> bool:
        """Whether it is written in brackets."""
        return self.raw.flow_style is True

    @property
    def listed(self) -> bool:
        """Whether it is a sequence."""
        return self.raw.id == "sequence"

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it: a scalar of no characters, or a collection of no items."""
        return not self.raw.value

    @property
    def scalar(self) -> object:
        """The characters of a scalar; None for a collection."""
        return self.raw.value if self.raw.id == "scalar" else None

    def pairs(self) -> list[tuple["Node", "Node"]]:
        """The keys and values of a mapping; none of anything else."""
        if self.raw.id != "mapping":
            return []
        return [(Node(self.text, key), Node(self.text, value)) for key, value in self.raw.value]

    def items(self) -> list["Node"]:
        """The items of a sequence."""
        return [Node(self.text, item) for item in self.raw.value]

    def pair(self, key: str) -> tuple["Node", "Node"] | None:
        """A key of a mapping, and its value."""
        return next((pair for pair in self.pairs() if pair[0].scalar == key), None)

    def end(self, key: "Node | None" = None) -> int:
        """Behind its last character; `key` is the one before it, whose end counts where there is no value.

        Raises:
            MergeError: it is an alias, whose text is elsewhere.
        """
        if key is not None and self.start < key.start:
            raise MergeError("its last entry is an alias")
        end: int = self.raw.end_mark.index
        if self.raw.id == "scalar":
            if self.start == end and key is not None:
                return self.text.index(":", key.end()) + 1
            return len(self.text[:end].rstrip()) if self.raw.style in ("|", ">") else end
        # The parser counts what follows a block, comments too, as part of it.
        if self.flow or self.empty:
            return end
        if self.listed:
            return self.items()[-1].end()
        last_key, last = self.pairs()[-1]
        return last.end(last_key)


def compose(text: str) -> Node:
    """The root of a text that `load` has found good."""
    return Node(text, parser().compose(text))
