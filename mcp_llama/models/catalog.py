"""Catalog: every model on this machine, whoever put it there, and what each is called."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from mcp_llama.errors import ModelNameError
from mcp_llama.models.embedded import embedded_model
from mcp_llama.models.folder import models_folder
from mcp_llama.models.gguf_folder import FoundModel, find_models
from mcp_llama.models.hugging_face import find_in_hugging_face
from mcp_llama.models.llama_cache import find_in_llama_cache
from mcp_llama.models.lm_studio import find_in_lm_studio
from mcp_llama.models.names import model_name, short_forms
from mcp_llama.models.ollama import find_in_ollama
from mcp_llama.models.stored import Store, StoredModel

_SUGGESTED = 3


class Catalog:
    """Models by their names; for whom a name means, case does not count."""

    def __init__(self, models: Iterable[StoredModel]) -> None:
        """Of models that are the same file, the first is kept, and the others' names with it."""
        self._models = tuple(_unique(_merged(models)))

    @classmethod
    def scan(cls) -> "Catalog":
        """Look through all stores of this machine. Reads one page of each file; warns of what is damaged."""
        return cls(_stored_models())

    def models(self) -> tuple[StoredModel, ...]:
        """All of them, by store."""
        return self._models

    def find(self, name: str) -> StoredModel:
        """The model that a name, the path of its file, or a short form or beginning that no other has stands for.

        Raises:
            ModelNameError: there is none, or more than one.
        """
        wanted = name.casefold()
        found = self._named(wanted) or self._at(path_of(name)) or self._called(wanted)
        if len(found) == 1:
            return found[0]
        names = [model.name for model in found] or self._similar(wanted)
        raise ModelNameError(name, names, is_ambiguous=bool(found))

    def _named(self, wanted: str) -> list[StoredModel]:
        # As for Ollama, a name without a tag is first of all that of the tag `latest`.
        names = {model.name.casefold(): model for model in self._models}
        return [names[name] for name in (wanted, f"{wanted}:latest") if name in names][:1]

    def _at(self, path: Path) -> list[StoredModel]:
        return [model for model in self._models if model.path == path.absolute()]

    def _called(self, wanted: str) -> list[StoredModel]:
        for form in (f"{wanted}:latest", wanted, wanted.removesuffix(".gguf")):
            found = [model for model in self._models if form in _words(model)]
            if found:
                return found
        return [model for model in self._models if any(_begins(word, wanted) for word in _words(model))]

    def _similar(self, wanted: str) -> list[str]:
        """The names of models that may be meant: those that contain the word, else those spelled nearly so."""
        containing = [model.name for model in self._models if any(wanted in word for word in _words(model))]
        words = {word: model.name for model in self._models for word in _words(model)}
        near = [words[word] for word in get_close_matches(wanted, words, n=len(words) or 1)]
        return list(dict.fromkeys(containing or near))[:_SUGGESTED]


def path_of(text: str) -> Path:
    """The path that a user may have meant, whatever the text."""
    try:
        return Path(os.path.normpath(os.path.expanduser(text)))
    except ValueError:
        # A null byte in the name of a user.
        return Path(text)


def _words(model: StoredModel) -> list[str]:
    return [word.casefold() for word in (model.name, *model.aliases)]


def _begins(word: str, wanted: str) -> bool:
    """Whether a word begins with this one, and goes on with a mark: qwen3-8b with qwen3, but not with qwen."""
    rest = word.removeprefix(wanted)
    return rest != word and not rest[:1].isalnum()


def _merged(models: Iterable[StoredModel]) -> Iterator[StoredModel]:
    """Each file once, called by all names that it has; a name with its store is always one of them."""
    found: dict[tuple[int, int], StoredModel] = {}
    for model in models:
        try:
            status = model.path.stat()
        except OSError:
            # Removed since it was found.
            continue
        first = found.setdefault((status.st_dev, status.st_ino), model)
        aliases = (*first.aliases, *model.aliases, model.name, f"{model.name}@{model.store}")
        found[status.st_dev, status.st_ino] = replace(first, aliases=tuple(dict.fromkeys(aliases)))
    yield from found.values()


def _unique(models: Iterable[StoredModel]) -> Iterator[StoredModel]:
    """The models; a name that an earlier one has, too, is told apart by the store."""
    taken: set[str] = set()
    for model in models:
        name, number = model.name, 1
        while name.casefold() in taken:
            name = f"{model.name}@{model.store}{'' if number == 1 else number}"
            number += 1
        taken.add(name.casefold())
        yield replace(model, name=name)


def _stored_models() -> Iterator[StoredModel]:
    embedded = embedded_model()
    if embedded is not None:
        found = FoundModel(path=embedded, location=PurePosixPath(embedded.stem), size=embedded.stat().st_size)
        yield _stored(found, "embedded")
    yield from (_stored(found, "folder") for found in find_models(models_folder()))
    yield from (_stored(found, "huggingface") for found in find_in_hugging_face())
    yield from (_stored(found, "lm-studio") for found in find_in_lm_studio())
    yield from find_in_ollama()
    yield from (_stored(found, "llama.cpp") for found in find_in_llama_cache())


def _stored(found: FoundModel, store: Store) -> StoredModel:
    return StoredModel(
        name=model_name(found.location),
        path=found.path,
        size=found.size,
        store=store,
        missing_parts=found.missing_parts,
        aliases=short_forms(found.location),
    )
