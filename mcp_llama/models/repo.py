"""Repo: what the hub, or the models folder, has of a repository."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoFile:
    """A file in a repository: its path there, its size in bytes, and its SHA-256 in hexadecimal where that is known."""

    path: str
    size: int
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repo:
    """A repository at one commit, and its GGUF files."""

    name: str
    commit: str
    files: tuple[RepoFile, ...]


def size_text(size: int) -> str:
    """A number of bytes for people."""
    if size < 2**20:
        return f"{size:,} bytes"
    return f"{size / 2**20:.1f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"
