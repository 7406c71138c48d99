"""Variant: the files of one quantisation in a repository, and which of them a reference means."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath

from mcp_llama.errors import PullError
from mcp_llama.gguf_parts import part_name
from mcp_llama.models.quantisation import quantisations_in, spelled
from mcp_llama.models.reference import HubReference
from mcp_llama.models.repo import Repo, RepoFile, size_text

_NO_MODEL = re.compile(r"(?:^|[-_.])(mmproj|imatrix|lora|adapter)(?=[-_.])", re.IGNORECASE)
_FLOATS = ("F16", "BF16", "F32")
_NEAREST = (
    "Q4_K_M", "Q4_K_XL", "Q4_K_L", "Q4_K_S", "Q4_K", "IQ4_NL", "IQ4_XS", "Q4_1", "Q4_0", "Q4", "MXFP4", "MXFP4_MOE",
    "Q5_K_M", "Q5_K_S", "Q5_K_L", "Q5_K_XL", "Q5_K", "Q5_1", "Q5_0", "Q6_K", "Q6_K_L", "Q6_K_XL", "Q8_0", "Q8_K_XL",
    "Q3_K_XL", "Q3_K_L", "Q3_K_M", "IQ3_M", "IQ3_S", "Q3_K_S", "IQ3_XS", "IQ3_XXS", "BF16", "F16", "F32",
)  # fmt: skip
"""From the best trade of size and quality to the worst; what is not here comes last."""
DEFAULT = _NEAREST[0]
_MAX_LISTED = 40


class NoModelError(PullError):
    """A repository without a GGUF model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A model in one quantisation: one file, or all parts of a split one in their order."""

    quant: str | None
    parts: tuple[RepoFile, ...]
    count: int

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)

    @property
    def plain(self) -> str:
        """The quantisation without the mark of those who tuned it."""
        return (self.quant or "").removeprefix("UD-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen, and why."""

    variant: Variant
    reason: str


def variants(files: Iterable[RepoFile]) -> list[Variant]:
    """The models among files, smallest first; projectors, importance matrices and adapters are none."""
    return sorted((variant for variant in _grouped(files) if _is_model(variant)), key=lambda variant: variant.size)


def choose(repo: Repo, reference: HubReference) -> Choice:
    """The variant that is meant; without a wish Q4_K_M or what is nearest to it.

    Raises:
        NoModelError: the repository has none at all.
        PullError: this one is not there, there are several, or parts of it are missing.
    """
    if reference.file is not None:
        choice = Choice(variant=_named(repo, reference.file), reason="it was named")
    elif not (models := variants(repo.files)):
        raise NoModelError(f"{repo.name} has no GGUF model{_others(repo.files)}.")
    elif reference.quant is not None:
        matching = _matching(models, reference.quant)
        if not matching:
            raise PullError(f"{repo.name} has no {reference.quant}. There are {listed(models)}.")
        choice = Choice(variant=_single(repo, matching), reason="it was asked for")
    else:
        choice = _default(repo, models)
    variant = choice.variant
    if len(variant.parts) != variant.count:
        raise PullError(f"{repo.name} has only {len(variant.parts)} of the {variant.count} parts of {_title(variant)}.")
    return choice


def listed(models: Sequence[Variant]) -> str:
    """Variants with their sizes."""
    texts = [f"{_title(model)} ({size_text(model.size)})" for model in models[:_MAX_LISTED]]
    return ", ".join(texts) + (f" and {len(models) - _MAX_LISTED} more" if len(models) > _MAX_LISTED else "")


def _title(variant: Variant) -> str:
    return variant.quant or variant.parts[0].path


def _grouped(files: Iterable[RepoFile]) -> list[Variant]:
    groups: dict[tuple[str, int], list[RepoFile]] = {}
    for file in sorted(files, key=lambda file: file.path):
        path = PurePosixPath(file.path)
        part = part_name(path)
        groups.setdefault((str(path.with_name(part.stem)), part.count) if part else (file.path, 1), []).append(file)
    return [Variant(quant=_quant(stem), parts=tuple(parts), count=count) for (stem, count), parts in groups.items()]


def _quant(path: str) -> str | None:
    """The last quantisation that the name of the file tells, or else that of its folder."""
    folder, _, name = path.rpartition("/")
    labels = quantisations_in(name) or quantisations_in(folder)
    return labels[-1] if labels else None


def _is_model(variant: Variant) -> bool:
    found = _NO_MODEL.search(variant.parts[0].name)
    if found is None:
        return True
    # A model may be named after the matrix or the adapter that went into it; such a file alone is not quantised.
    return found[1].lower() != "mmproj" and variant.quant not in (None, "Q8_0", *_FLOATS)


def _others(files: Sequence[RepoFile]) -> str:
    names = ", ".join(file.name for file in files[:3])
    return f", only {names}, which is no model by itself" if names else ""


def _named(repo: Repo, path: str) -> Variant:
    for variant in _grouped(repo.files):
        if any(part.path == path for part in variant.parts):
            return variant
    paths = [file.path for file in repo.files]
    near = get_close_matches(path, paths, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(paths[:_MAX_LISTED]) or 'no GGUF files'}."
    raise PullError(f"{repo.name} has no file {path}. {hint}")


def _matching(models: Sequence[Variant], quant: str) -> list[Variant]:
    wanted = spelled(quant)
    return [model for model in models if model.quant == wanted] or [model for model in models if model.plain == wanted]


def _single(repo: Repo, models: Sequence[Variant]) -> Variant:
    if len(models) == 1:
        return models[0]
    paths = ", ".join(f"{model.parts[0].path} ({size_text(model.size)})" for model in models[:_MAX_LISTED])
    what = f"of the quantisation {models[0].quant}" if models[0].quant else "without a quantisation in their names"
    raise PullError(
        f"{repo.name} has {len(models)} models {what}: {paths}. "
        f"Name the one you want, as in hf:{repo.name}/{models[0].parts[0].path}"
    )


def _default(repo: Repo, models: Sequence[Variant]) -> Choice:
    if len(models) == 1:
        return Choice(variant=models[0], reason="it is the only model there")
    best = min(models, key=_rank)
    variant = _single(repo, [model for model in models if model.quant == best.quant])
    if variant.quant == DEFAULT:
        return Choice(variant=variant, reason=f"{DEFAULT} is the default, small and close to the full model")
    return Choice(variant=variant, reason=f"there is no {DEFAULT}, and it is the nearest of {listed(models)}")


def _rank(variant: Variant) -> tuple[int, bool]:
    place = _NEAREST.index(variant.plain) if variant.plain in _NEAREST else len(_NEAREST)
    return place, variant.plain != variant.quant
