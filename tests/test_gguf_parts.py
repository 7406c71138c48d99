"""What the names of a model's files tell."""

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.gguf_parts import PartName, files_of, part_name, size_of, whole_stem

NUMBERS = st.integers(1, 99_999)
STEMS = st.text(st.characters(blacklist_characters="/\x00\n\r", blacklist_categories=["Cs"]), min_size=1).filter(
    lambda stem: PurePosixPath(f"{stem}.gguf").stem == stem
)


@given(STEMS, NUMBERS, NUMBERS)
def test_what_llama_cpp_names_is_read_again(stem: str, one: int, other: int) -> None:
    number, count = sorted((one, other))
    name = PurePosixPath(f"folder/{stem}-{number:05}-of-{count:05}.gguf")
    assert part_name(name) == PartName(stem, number, count)
    assert whole_stem(name) == stem


@pytest.mark.parametrize(
    "stem", ["a", "a-1-of-2", "-00001-of-00002", "a-00003-of-00002", "a-00000-of-00002", "a-00001-OF-00002"]
)
def test_any_other_name_is_that_of_an_undivided_model(stem: str) -> None:
    path = Path(f"{stem}.gguf")
    assert part_name(path) is None
    assert whole_stem(path) == stem
    assert files_of(path) == [path]


def test_every_part_leads_to_all_parts(tmp_path: Path) -> None:
    parts = [tmp_path / f"a-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    for number, part in enumerate(parts, 1):
        part.write_bytes(b"x" * 10**number)
        assert files_of(part) == parts
    assert [size_of(part) for part in parts] == [1110] * 3
