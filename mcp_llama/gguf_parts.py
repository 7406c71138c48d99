"""The files of a model: one, or parts that llama.cpp names NAME-00001-of-00003.gguf and so on."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePath

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")


@dataclass(frozen=True, slots=True)
class PartName:
    """What the name of a part tells: the model's own name, the part's number from 1 on, and how many there are."""

    stem: str
    number: int
    count: int

    def numbered(self, number: int) -> str:
        """The name of another part, without its suffix."""
        return f"{self.stem}-{number:05}-of-{self.count:05}"


def part_name(path: PurePath) -> PartName | None:
    """None if the name is not that of a part."""
    found = _PART.fullmatch(path.stem)
    if found is None or not 1 <= int(found["number"]) <= int(found["count"]):
        return None
    return PartName(found["stem"], int(found["number"]), int(found["count"]))


def whole_stem(path: PurePath) -> str:
    """A file's name without its suffix and without the number of a part."""
    part = part_name(path)
    return part.stem if part else path.stem


def files_of(path: Path) -> list[Path]:
    """All parts of the model to which a file belongs by its name, there or not; of an undivided model just the one."""
    part = part_name(path)
    if part is None:
        return [path]
    return [path.with_stem(part.numbered(number)) for number in range(1, part.count + 1)]


def size_of(path: Path) -> int:
    """The bytes of all files of a model."""
    return sum(file.stat().st_size for file in files_of(path))
