"""ModelSource: a model that can be loaded, and where others are found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mcp_llama.models.loadable import LoadModel, PrepareModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """A model under its name. `memory` says about how many bytes it will take; it may read files. Any thread."""

    name: str
    load: LoadModel
    prepare: PrepareModel | None = None
    memory: Callable[[], int] = int


class Supply(Protocol):
    """Models that may be loaded beside the default one. Any thread."""

    def sources(self) -> Sequence[ModelSource]:
        """All of them, as they are found now."""
        ...

    def find(self, name: str) -> ModelSource:
        """The one that a name stands for.

        Raises:
            RequestError: there is none, or there are several.
        """
        ...
