"""What a model is called: its name, and the short forms of it.

A name depends on where a file lies and on nothing else, so that it stays the same when other models come and go.
"""

import re
from pathlib import PurePosixPath

_QUANTISATION = re.compile(
    r"(?P<rest>.+?)[-._](?P<quantisation>(?:UD-)?(?:I?Q\d\w*|TQ\d_\d|BF16|FP?16|FP?32|MXFP4\w*|NVFP4))",
    re.IGNORECASE | re.DOTALL,
)
_GGUF = re.compile(r"[-_.]GGUF$", re.IGNORECASE)


def quantisation_in(stem: str) -> str | None:
    """The quantisation at the end of a file's name, as Q4_K_M."""
    found = _QUANTISATION.fullmatch(stem)
    return found["quantisation"].upper() if found else None


def model_name(location: PurePosixPath) -> str:
    """The name of a model at a place such as `owner/repo/file`, or just `file`.

    Where the file is called as its repository and a quantisation, the name is `owner/repo:quantisation`.
    """
    if len(location.parts) >= 3:
        owner, repo = location.parts[:2]
        found = _QUANTISATION.fullmatch(location.name)
        if found and found["rest"].lower() == _title(repo).lower():
            return f"{owner}/{repo}:{found['quantisation'].upper()}"
    return str(location)


def short_forms(location: PurePosixPath) -> tuple[str, ...]:
    """What else a model at a place may be called: its file, its repository, with and without the quantisation."""
    quantisation = quantisation_in(location.name)
    titles = [location.name[: -len(quantisation) - 1]] if quantisation else []
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
