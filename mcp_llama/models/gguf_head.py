"""GgufHead: what the first page of a GGUF file tells."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

_PAGE = 4096
_HEADER = struct.Struct("<4sIQQ")
_LEAST_ENTRY = 14
_LEAST_TENSOR = 33
_UINT32, _STRING = 4, 8
_OTHER_KINDS = frozenset({"adapter", "mmproj", "imatrix", "vocab"})


class DamagedGgufError(Exception):
    """A file is no GGUF file, or only a piece of one; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHead:
    """The file's size in bytes, and what its writer put first; None for what comes later or not at all."""

    size: int
    n_tensors: int
    architecture: str | None
    kind: str | None
    file_type: int | None

    @property
    def is_model(self) -> bool:
        """Whether it holds a model's weights: no adapter, projector or vocabulary alone."""
        return self.n_tensors > 0 and self.may_be_part

    @property
    def may_be_part(self) -> bool:
        """The same of one part of a split model; the first may be without weights."""
        return self.kind not in _OTHER_KINDS and self.architecture != "clip"


def read_head(path: Path) -> GgufHead:
    """Read the first page.

    Raises:
        DamagedGgufError: this is not a GGUF file, or not the whole of it.
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        page, size = file.read(_PAGE), os.fstat(file.fileno()).st_size
    if not page:
        raise DamagedGgufError("it is empty")
    if page[:4] != b"GGUF":
        raise DamagedGgufError(f"it is not a GGUF file, it starts with {page[:4]!r}")
    if len(page) < _HEADER.size:
        raise DamagedGgufError("it is cut off")
    _, version, n_tensors, n_entries = _HEADER.unpack_from(page)
    if version > 0xFFFF:
        raise DamagedGgufError("its numbers are big-endian, which llama.cpp cannot read here")
    if size < _HEADER.size + n_entries * _LEAST_ENTRY + n_tensors * _LEAST_TENSOR:
        raise DamagedGgufError("it is cut off")
    return GgufHead(
        size=size,
        n_tensors=n_tensors,
        architecture=_text(page, "general.architecture"),
        kind=_text(page, "general.type"),
        file_type=_number(page, "general.file_type"),
    )


def _text(page: bytes, key: str) -> str | None:
    value = _value(page, key, _STRING)
    if len(value) < 8:
        return None
    (length,) = struct.unpack_from("<Q", value)
    return value[8 : 8 + length].decode("utf-8", "replace")


def _number(page: bytes, key: str) -> int | None:
    value = _value(page, key, _UINT32)
    return struct.unpack_from("<I", value)[0] if len(value) >= 4 else None


def _value(page: bytes, key: str, kind: int) -> bytes:
    """What follows a key of this kind; nothing if the page does not have it."""
    mark = struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind)
    return page.partition(mark)[2]
