"""Models that are split into parts."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mcp_llama.engine.llama import LlamaModel, ModelOptions, UnloadedModel, check_file
from mcp_llama.engine.llama.files import file_size
from mcp_llama.errors import ModelLoadError
from tests.engine.llama.decoding import greedy, tokens
from tests.engine.llama.splits import split

OPTIONS = ModelOptions(n_ctx=256, n_slots=1, n_threads=1)


@pytest.fixture(scope="module")
def parts(real_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    parts = split(real_model_path, tmp_path_factory.mktemp("split"), tensors=100)
    yield parts
    for part in parts:
        part.unlink()


def links(parts: list[Path], folder: Path, *numbers: int) -> list[Path]:
    """Some of the parts under their names in another folder."""
    found = [folder / parts[number].name for number in numbers]
    for link, number in zip(found, numbers, strict=True):
        link.symlink_to(parts[number])
    return found


def test_the_first_part_loads_all_and_says_the_same(real_model_path: Path, parts: list[Path]) -> None:
    assert [part.name for part in parts] == [f"split-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    completions: list[list[int]] = []
    for path in (real_model_path, parts[0]):
        model = LlamaModel(path, OPTIONS)
        assert model.name == ("split" if path == parts[0] else path.stem)
        completions += greedy(model, [tokens(model, "Once upon a time")], 16)
        model.close()
    assert completions[0] == completions[1]


def test_a_split_model_counts_as_large_as_all_its_parts(parts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(part.stat().st_size for part in parts)
    assert file_size(parts[0], OPTIONS) == size
    for available, fits in ((size, True), (size - 1, False)):
        free = psutil.virtual_memory()._replace(available=available)
        monkeypatch.setattr(psutil, "virtual_memory", lambda free=free: free)
        if fits:
            check_file(parts[0], OPTIONS)
        else:
            with pytest.raises(ModelLoadError, match="of memory are free"):
                check_file(parts[0], OPTIONS)


@pytest.mark.parametrize("load", [check_file, LlamaModel, UnloadedModel])
def test_another_part_than_the_first_is_refused(load: type[LlamaModel], parts: list[Path]) -> None:
    with pytest.raises(ModelLoadError) as refused:
        load(parts[1], OPTIONS)
    assert str(refused.value) == (
        f"{parts[1]} is one part of a model that is split. Give the first part, split-00001-of-00003.gguf."
    )


@pytest.mark.parametrize("load", [check_file, LlamaModel, UnloadedModel])
def test_a_model_without_all_its_parts_is_refused(load: type[LlamaModel], parts: list[Path], tmp_path: Path) -> None:
    first, _ = links(parts, tmp_path, 0, 1)
    with pytest.raises(ModelLoadError) as refused:
        load(first, OPTIONS)
    end = "cannot be found beside it. Download the model again."
    assert str(refused.value) == f"{first} is the first of 3 parts, but split-00003-of-00003.gguf {end}"
    (tmp_path / parts[1].name).unlink()
    with pytest.raises(ModelLoadError) as refused:
        load(first, OPTIONS)
    assert str(refused.value) == f"{first} is the first of 3 parts, but split-00002-of-00003.gguf and 1 more {end}"


def test_a_damaged_part_is_named(parts: list[Path], tmp_path: Path) -> None:
    first, second = links(parts, tmp_path, 0, 1)
    third = tmp_path / parts[2].name
    third.write_bytes(b"no model")
    with pytest.raises(ModelLoadError, match=rf"^{third} is not a GGUF file"):
        LlamaModel(first, OPTIONS)
    second.unlink()
    with parts[1].open("rb") as whole:
        second.write_bytes(whole.read(1000))
    third.unlink()
    links(parts, tmp_path, 2)
    with pytest.raises(ModelLoadError, match=r"could not be loaded: .*The file may be incomplete"):
        LlamaModel(first, OPTIONS)


@pytest.mark.parametrize("name", ["model-00001-of-00001.gguf", "model-00001-of-00000.gguf", "model-1-of-2.gguf"])
def test_a_model_of_one_part_is_whole(name: str, real_model_path: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.symlink_to(real_model_path)
    check_file(path, OPTIONS)
