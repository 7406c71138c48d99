"""Small GGUF files that are whole: a header, metadata, and one tensor or none."""

import struct
from collections.abc import Mapping
from pathlib import Path

_UINT32, _STRING, _F32 = 4, 8, 0
_ALIGNMENT = 32
_VALUES = 8


def write_gguf(path: Path, metadata: Mapping[str, int | str] | None = None, *, tensors: int = 1) -> Path:
    """Write a file with the metadata of a small model and what `metadata` says otherwise."""
    entries = {"general.architecture": "llama", "general.type": "model", **(metadata or {})}
    header = struct.pack("<4sIQQ", b"GGUF", 3, tensors, len(entries))
    header += b"".join(_text(key) + _value(value) for key, value in entries.items())
    header += b"".join(
        _text(f"tensor.{number}") + struct.pack("<IQIQ", 1, _VALUES, _F32, number * _VALUES * 4)
        for number in range(tensors)
    )
    header += bytes(-len(header) % _ALIGNMENT)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + bytes(_VALUES * 4 * tensors))
    return path


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: int | str) -> bytes:
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    return struct.pack("<I", _STRING) + _text(value)
