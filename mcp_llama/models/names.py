"""What a model is called: its name, and the short forms of it.

A name depends on where a file lies and on nothing else, so that it stays the same when other models come and go.
"""

import re
from pathlib import PurePosixPath

from mcp_llama.models.quantisation import without_quantisation

_GGUF = re.compile(r"[-_.]GGUF$", re.IGNORECASE)


def model_name(location: PurePosixPath) -> str:
    """The name of a model at a place such as `owner/repo/file`, or just `file`.

    Where the file is called as its repository and a quantisation, the name is `owner/repo:quantisation`.
    """
    if len(location.parts) >= 3:
        owner, repo = location.parts[:2]
        title, quantisation = without_quantisation(location.name)
        if quantisation and title.lower() == _title(repo).lower():
            return f"{owner}/{repo}:{quantisation}"
    return str(location)


def short_forms(location: PurePosixPath) -> tuple[str, ...]:
    """What else a model at a place may be called: its file, its repository, with and without the quantisation."""
    title, quantisation = without_quantisation(location.name)
    titles = [title] if quantisation else []
    if len(location.parts) >= 3:
        owner, repo = location.parts[:2]
        titles += [f"{owner}/{repo}", f"{owner}/{_title(repo)}", repo, _title(repo)]
    forms = [location.name, *(form for title in titles for form in tagged(title, quantisation))]
    return tuple(dict.fromkeys(forms))


def tagged(name: str, tag: str | None) -> list[str]:
    """A name, and the name with its tag."""
    return [name, f"{name}:{tag}"] if tag else [name]


def location_in_cache(stem: str) -> PurePosixPath:
    """The place `owner/repo/file` of what llama.cpp's older cache keeps as `owner_repo_file`, if that can be told."""
    owner, _, rest = stem.partition("_")
    for underscore in re.finditer("_", rest):
        location = PurePosixPath(owner, rest[: underscore.start()], rest[underscore.end() :] or "_")
        if ":" in model_name(location):
            return location
    return PurePosixPath(stem)


def _title(repo: str) -> str:
    return _GGUF.sub("", repo)
