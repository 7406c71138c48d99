"""Writing metadata into GGUF files."""

import struct
from collections.abc import Mapping
from pathlib import Path

_UINT32, _FLOAT32, _STRING = 4, 6, 8
_HEADER = struct.Struct("<4sIQQ")
_ALIGNMENT = 32


def copy_with_metadata(source: Path, target: Path, metadata: Mapping[str, float | str]) -> None:
    """Copy a GGUF file with more metadata: an int, a float or a text for each key."""
    raw = source.read_bytes()
    magic, version, tensors, entries = _HEADER.unpack_from(raw)
    added = b"".join(_text(key) + _value(value) for key, value in metadata.items())
    # The weights stay where they are modulo the alignment if what is put before them fills whole units.
    filler = _text("test.filler") + _value("")
    filler = _text("test.filler") + _value(" " * (-(len(added) + len(filler)) % _ALIGNMENT))
    header = _HEADER.pack(magic, version, tensors, entries + len(metadata) + 1)
    target.write_bytes(header + added + filler + raw[_HEADER.size :])


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: float | str) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _text(value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    return struct.pack("<If", _FLOAT32, value)
