"""llama.cpp's own state files, of the real model."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_llama.engine.cache_files import CacheFiles
from mcp_llama.engine.llama import LlamaModel, UnloadedModel
from tests.engine.llama.conftest import OPTIONS
from tests.engine.llama.decoding import complete, extend, greedy, tokens
from tests.engine.sequences import GREEDY

STORY = "Once upon a time there was a ship that sailed to the end of the world, " * 6


@pytest.fixture(scope="module")
def kinds() -> set[str]:
    """The kinds of states that have been seen."""
    return set()


@pytest.fixture
def story(model: LlamaModel) -> list[int]:
    """The tokens of a story, which slot 1 holds."""
    story = tokens(model, STORY)
    extend(model, {1: story})
    return story


@pytest.fixture
def path(model: LlamaModel, story: list[int], tmp_path: Path) -> Path:
    model.save_file(1, tmp_path / "state", story)
    return tmp_path / "state"


def test_a_state_that_was_loaded_goes_on_as_the_one_that_was_saved(
    model: LlamaModel, story: list[int], path: Path
) -> None:
    more = tokens(model, "and there")
    (cold,) = greedy(model, [story + more], 16)
    for slot in range(2):
        model.truncate(slot, 0)
    assert model.load_file(0, path) == story
    assert [model.held_tokens(slot) for slot in range(4)] == [len(story), 0, 0, 0]
    assert complete(model, [story + more], 16, GREEDY) == [cold]


def test_loading_takes_the_place_of_what_a_slot_holds(model: LlamaModel, story: list[int], path: Path) -> None:
    extend(model, {2: tokens(model, "Something else")})
    assert model.load_file(2, path) == story
    assert model.held_tokens(2) == len(story)


def test_the_size_of_a_state_is_known_before_it_is_written(model: LlamaModel, story: list[int], path: Path) -> None:
    size = path.stat().st_size
    assert 0 <= size - model.state_size(1) <= 4 * len(story) + 64
    assert model.state_size(3) < 1000


def test_a_full_disk_is_an_error(model: LlamaModel, story: list[int]) -> None:
    with pytest.raises(OSError, match="could not write"):
        model.save_file(1, Path("/dev/full"), story)
    with pytest.raises(OSError, match="could not write"):
        model.save_file(1, Path("/dev/full/state"), story)


def test_a_disk_that_is_full_when_the_file_is_closed_is_an_error(
    model: LlamaModel, story: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(_context: object, path: bytes, *_: object) -> int:
        return Path(os.fsdecode(path)).write_bytes(b"state") + 1

    monkeypatch.setattr("mcp_llama.engine.llama.state_files.lib.llama_state_seq_save_file", save)
    with pytest.raises(OSError, match="could not write"):
        model.save_file(1, tmp_path / "state", story)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_text(path: Path) -> None:
    path.write_text("Once upon a time", encoding="utf-8")


@pytest.mark.parametrize("damage", [cut, empty, replace_by_text, Path.unlink])
def test_a_file_that_is_no_state_leaves_the_slot_empty(
    damage: Callable[[Path], None], model: LlamaModel, path: Path
) -> None:
    damage(path)
    extend(model, {2: tokens(model, "Something else")})
    assert model.load_file(2, path) == []
    assert model.held_tokens(2) == 0


def test_tokens_that_are_not_those_of_the_state_leave_the_slot_empty(
    model: LlamaModel, story: list[int], path: Path
) -> None:
    model.save_file(1, path, story[:-1])
    assert model.load_file(2, path) == []
    assert model.held_tokens(2) == 0


def test_a_damaged_state_never_reaches_llama_cpp(
    model: LlamaModel, story: list[int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = CacheFiles(tmp_path, "ab" * 32, model)
    files.save_slots({1: story})
    (path,) = files.folder.iterdir()
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    assert files.load_slots(lambda: True) == {}
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_context_of_another_layout_has_another_kind_of_state_and_refuses_the_file(
    model: LlamaModel, path: Path, real_model_path: Path
) -> None:
    kinds = {model.state_kind}
    for changed in ({"n_slots": 2}, {"flash_attn": "off"}, {"n_cells": 512}, {"type_k": "q8_0"}, {"type_v": "q8_0"}):
        other = LlamaModel(real_model_path, replace(OPTIONS, **changed))
        assert other.load_file(1, path) == []
        assert other.held_tokens(1) == 0
        kinds.add(other.state_kind)
        other.close()
    assert len(kinds) == 6


@pytest.mark.parametrize(
    "changed",
    [
        {"n_ctx": 1024},
        {"type_k": "bf16"},
        {"rope_scaling": "yarn", "rope_freq_scale": 0.5},
        {"rope_scaling": "linear", "rope_freq_scale": 0.5},
        {"rope_freq_scale": 0.25},
        {"rope_freq_base": 50_000.0},
        {"rope_scaling": "yarn", "rope_freq_scale": 0.5, "yarn_orig_ctx": 4096},
    ],
)
def test_what_changes_the_contents_of_a_state_changes_its_kind(
    changed: dict[str, Any], model: LlamaModel, kinds: set[str], real_model_path: Path
) -> None:
    other = UnloadedModel(real_model_path, replace(OPTIONS, **changed))
    assert other.state_kind not in {model.state_kind, *kinds}
    kinds.add(other.state_kind)
    other.close()
