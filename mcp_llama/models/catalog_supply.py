"""CatalogSupply: the models of this machine, for a pool."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mcp_llama.errors import ModelNameError, RequestError, UnknownModelError
from mcp_llama.models.catalog import Catalog
from mcp_llama.models.files import ModelFile, stored_file
from mcp_llama.models.source import ModelSource
from mcp_llama.models.stored import StoredModel


class CatalogSupply:
    """All complete models that the catalog finds, the default one under its own name only. Any thread."""

    def __init__(self, default: ModelFile, source_of: Callable[[ModelFile], ModelSource]) -> None:
        self._default = default
        self._source_of = source_of

    def sources(self) -> Sequence[ModelSource]:
        """All of them, as they are found now."""
        return [self._source(model) for model in Catalog.scan().models() if not model.missing_parts]

    def find(self, name: str) -> ModelSource:
        """The one that a name stands for; see `Supply.find`."""
        catalog = Catalog.scan()
        try:
            return self._source(catalog.find(name))
        except ModelNameError as error:
            if error.is_ambiguous:
                raise RequestError(str(error), "model") from error
            raise UnknownModelError(name, [model.name for model in catalog.models()]) from error

    def _source(self, stored: StoredModel) -> ModelSource:
        if _is_same(stored.path, self._default.path):
            return self._source_of(self._default)
        file = stored_file(stored)
        if file.name.casefold() == self._default.name.casefold():
            # The default model is a file from elsewhere.
            file = replace(file, name=f"{file.name}@{stored.store}")
        return self._source_of(file)


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False
