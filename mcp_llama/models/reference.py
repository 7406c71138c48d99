"""HubReference: what a name such as hf:owner/repo:Q4_K_M asks for."""

import re
from dataclasses import dataclass

from mcp_llama.errors import ConfigError, shown

_REVISION = r"refs/(?:pr|convert)/[\w.-]+|[^/:@\s]+"
_WORD = r"[A-Za-z0-9](?:[\w.-]*\w)?"
_NAME = re.compile(
    r"(?:hf:(?://)?|https?://)?(?:(?:hf|huggingface)\.co/)?"
    rf"(?P<repo>{_WORD}/{_WORD})(?:@(?P<revision>{_REVISION}))?"
    r"(?:/(?:blob|resolve|tree)/(?P<url_revision>[^/:]+)(?<!\.gguf))?(?:/(?P<file>[^:]+?\.gguf)|:(?P<quant>[\w.-]+))?"
    rf"(?:@(?P<late_revision>{_REVISION}))?(?:\?download=true)?/?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubReference:
    """A repository on the hub, and what of it is wanted: a file, a quantisation, or neither."""

    repo: str
    revision: str | None = None
    file: str | None = None
    quant: str | None = None


def parse_reference(name: str) -> HubReference:
    """Read a name: hf:OWNER/REPO[@REVISION], then :QUANT or /FILE.gguf or nothing. A pasted address works as well.

    Raises:
        ConfigError: it is none of these.
    """
    found = _NAME.fullmatch(name)
    parts: dict[str, str | None] = {} if found is None else found.groupdict()
    repo, file = parts.get("repo"), parts.get("file")
    revisions = {parts[part] for part in parts if part.endswith("revision")} - {None}
    if repo is None or len(revisions) > 1 or not all(is_safe(path) for path in (repo, file) if path):
        raise ConfigError(
            f"{shown(name)} names no model on the hub. Write hf:OWNER/REPO, hf:OWNER/REPO:QUANT or "
            "hf:OWNER/REPO/FILE.gguf, with @REVISION behind it if you want a certain one."
        )
    return HubReference(repo=repo, revision=next(iter(revisions), None), file=file, quant=parts["quant"])


def is_safe(path: str) -> bool:
    """Whether a path below a folder stays there."""
    parts = path.split("/")
    return not ({"", ".", ".."} & set(parts)) and not re.search(r"[\\\x00-\x1f]", path)
