import logging
import os
import shutil
import stat
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from mcp_llama.engine import cache_files
from mcp_llama.engine.cache_files import MIN_TOKENS, CacheFiles
from tests.engine.states import HASH, filled, keep, kept, state_paths, text_tokens
from tests.fake_model import FakeModel

A, B, C, D = (text_tokens(name) for name in "ABCD")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_slots_hold_comes_back_the_oldest_first(tmp_path: Path) -> None:
    keep(tmp_path, A, B, C)
    assert list(kept(tmp_path).values()) == [C, B, A]


def test_sequences_that_are_computed_quickly_are_not_kept(tmp_path: Path) -> None:
    keep(tmp_path, text_tokens("A", MIN_TOKENS - 1), text_tokens("B", MIN_TOKENS), [])
    assert list(kept(tmp_path).values()) == [text_tokens("B", MIN_TOKENS)]


def test_fewer_slots_take_the_newest(tmp_path: Path) -> None:
    keep(tmp_path, A, B, C)
    assert list(kept(tmp_path, FakeModel(n_slots=2)).values()) == [B, A]


def test_shared_cells_take_what_they_can_hold(tmp_path: Path) -> None:
    keep(tmp_path, A, text_tokens("B", 413), C)
    assert list(kept(tmp_path, FakeModel(n_ctx=512, n_cells=513)).values()) == [text_tokens("B", 413), A]
    assert list(kept(tmp_path, FakeModel(n_ctx=512, n_cells=512)).values()) == [C, A]


def test_a_sequence_that_is_longer_than_the_context_stays_where_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # llama.cpp rounds a context up: two that round to the same read each other's states.
    monkeypatch.setattr(FakeModel, "state_kind", "same")
    keep(tmp_path, A, text_tokens("B", 50 + 50))
    keep(tmp_path, text_tokens("C", 101))
    assert len(kept(tmp_path, FakeModel(n_ctx=100))) == 2
    assert (len(state_paths(tmp_path)), warnings(caplog)) == (3, [])


def test_at_most_as_many_as_slots_are_kept_and_the_oldest_go(tmp_path: Path) -> None:
    for held in (A, B, C, D):
        CacheFiles(tmp_path, HASH, filled(held, n_slots=2)).save_slots({0: held})
    assert list(kept(tmp_path).values()) == [C, D]


def test_what_was_loaded_and_is_held_no_more_is_removed(tmp_path: Path) -> None:
    keep(tmp_path, A, B)
    model = FakeModel()
    files = CacheFiles(tmp_path, HASH, model)
    files.load_slots(lambda: True)
    model.slots[0] += b"more"
    files.save_slots({slot: list(tokens) for slot, tokens in enumerate(model.slots)})
    assert sorted(map(bytes, kept(tmp_path).values())) == [bytes(A) + b"more", bytes(B)]


def test_what_is_there_is_not_written_again_but_as_new_as_it_is(tmp_path: Path) -> None:
    keep(tmp_path, A, B)
    before = {path: path.stat().st_ino for path in state_paths(tmp_path)}
    keep(tmp_path, B, A)
    assert {path: path.stat().st_ino for path in state_paths(tmp_path)} == before
    assert list(kept(tmp_path).values()) == [A, B]


def test_what_takes_too_long_is_left_out_and_then_nothing_older_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, A)
    model = FakeModel()
    files = CacheFiles(tmp_path, HASH, model)
    files.load_slots(lambda: True)
    model.slots[0] = text_tokens("A long story", 300)
    model.slots[1] = B
    monkeypatch.setattr(cache_files, "_ASSUMED_SPEED", 4 * 299 / 1.5)
    files.save_slots({0: model.slots[0], 1: B})
    assert list(kept(tmp_path).values()) == [A, B]


def test_a_disk_that_turns_out_slow_takes_no_more_than_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [0.0, 0.0]

    def pass_time(model: FakeModel, slot: int, path: Path, tokens: Sequence[int]) -> None:
        path.write_bytes(model.save(slot))
        moments.append(moments[-1] + 0.8)

    monkeypatch.setattr(FakeModel, "save_file", pass_time)
    monkeypatch.setattr(time, "monotonic", lambda: moments[-1])
    keep(tmp_path, A, B, C)
    assert list(kept(tmp_path).values()) == [A]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "longer"])
def test_a_damaged_file_is_left_out_with_one_warning_and_removed(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path, A, B)
    (path,) = (path for path in state_paths(tmp_path) if path.read_bytes()[:1] == b"A")
    raw = path.read_bytes()
    changed = {"cut": raw[:-4], "flipped": raw[:40] + b"\1" + raw[41:], "empty": b"", "longer": raw + b"\0\0\0\0"}
    path.write_bytes(changed[damage])
    assert list(kept(tmp_path).values()) == [B]
    assert warnings(caplog) == [f"{path} is damaged or of another model: it is removed and computed again"]
    assert list(kept(tmp_path).values()) == [B]
    assert len(warnings(caplog)) == 1


def test_a_state_that_does_not_fit_the_model_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> list[int]:
        return []

    keep(tmp_path, A)
    monkeypatch.setattr(FakeModel, "load_file", refuse)
    assert kept(tmp_path) == {}
    assert len(warnings(caplog)) == 1


def test_a_file_that_cannot_be_read_is_left_out_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> list[int]:
        raise PermissionError(13, "Permission denied")

    keep(tmp_path, A)
    with monkeypatch.context() as patched:
        patched.setattr(FakeModel, "load_file", refuse)
        assert kept(tmp_path) == {}
    assert warnings(caplog) == ["A cached state cannot be read and is left out: [Errno 13] Permission denied"]
    assert list(kept(tmp_path).values()) == [A]


def test_a_file_that_another_server_removes_in_the_meantime_is_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path, A, B)
    newest = max(state_paths(tmp_path), key=lambda path: path.stat().st_mtime_ns)
    load_file = FakeModel.load_file

    def load(model: FakeModel, slot: int, path: Path) -> list[int]:
        newest.unlink(missing_ok=True)
        return load_file(model, slot, path)

    monkeypatch.setattr(FakeModel, "load_file", load)
    assert list(kept(tmp_path).values()) == [B]
    assert warnings(caplog) == []


def test_a_folder_that_is_gone_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = CacheFiles(tmp_path, HASH, FakeModel())
    shutil.rmtree(tmp_path)
    assert files.load_slots(lambda: True) == {}
    assert len(warnings(caplog)) == 1


def test_a_disk_that_is_full_loses_one_sequence_and_leaves_no_half_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file = FakeModel.save_file

    def save(model: FakeModel, slot: int, path: Path, tokens: Sequence[int]) -> None:
        save_file(model, slot, path, tokens)
        if tokens == A:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(FakeModel, "save_file", save)
    keep(tmp_path, A, B)
    assert warnings(caplog) == ["A state could not be kept: [Errno 28] No space left on device"]
    assert len(state_paths(tmp_path)) == 1
    assert list(kept(tmp_path).values()) == [B]


def test_the_state_of_another_model_is_not_loaded(tmp_path: Path) -> None:
    keep(tmp_path, A)
    assert kept(tmp_path, model_hash="cd" * 32) == {}
    assert list(kept(tmp_path).values()) == [A]


def test_the_state_of_another_configuration_is_not_loaded(tmp_path: Path) -> None:
    keep(tmp_path, A)
    assert kept(tmp_path, FakeModel(n_ctx=256)) == {}


def test_a_file_that_was_moved_from_another_model_is_not_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(tmp_path, A, model_hash="cd" * 32)
    (path,) = state_paths(tmp_path)
    path.rename(CacheFiles(tmp_path, HASH, FakeModel()).folder / path.name)
    assert kept(tmp_path) == {}
    assert len(warnings(caplog)) == 1


def test_files_of_others_stay_untouched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = keep(tmp_path, A).folder
    others = [folder / name for name in ("notes.txt", "sequence-1.state", f"x{state_paths(tmp_path)[0].name}")]
    for path in others:
        path.write_text("mine", encoding="utf-8")
    (folder / f"sequence-1-{'0' * 32}-{'0' * 64}.state").mkdir()
    keep(tmp_path, B)
    assert len(kept(tmp_path)) == 2
    assert [path.read_text(encoding="utf-8") for path in others] == ["mine"] * 3
    assert warnings(caplog) == []


def test_only_the_owner_can_read_what_is_kept(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = keep(tmp_path / "cache", A).folder
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in state_paths(tmp_path)] == [0o600]


def test_what_a_killed_server_left_half_written_is_removed_but_not_what_is_being_written(tmp_path: Path) -> None:
    folder = keep(tmp_path, A).folder
    old, new = folder / "0123456789abcdef.tmp", folder / "fedcba9876543210.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 700, time.time() - 700))
    keep(tmp_path, B)
    assert (old.exists(), new.exists()) == (False, True)


def test_two_servers_with_one_folder_keep_what_both_hold(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = filled(A, B), filled(C, A)
    mine, other = CacheFiles(tmp_path, HASH, first), CacheFiles(tmp_path, HASH, second)
    mine.save_slots({0: A, 1: B})
    other.save_slots({0: C, 1: A})
    assert sorted(kept(tmp_path).values()) == [A, B, C]
    assert warnings(caplog) == []


def test_loading_ends_when_the_server_stops(tmp_path: Path) -> None:
    keep(tmp_path, A, B, C)
    wanted = iter([True, False])
    assert CacheFiles(tmp_path, HASH, FakeModel()).load_slots(lambda: next(wanted)) == {0: A}


def test_a_prefix_is_found_by_its_tokens_and_leaves_the_slot(tmp_path: Path) -> None:
    CacheFiles(tmp_path, HASH, filled(A)).save_prefix(A)
    model = FakeModel()
    files = CacheFiles(tmp_path, HASH, model)
    assert files.load_prefix(B) is None
    prefix = files.load_prefix(A)
    assert prefix is not None
    assert (prefix.tokens, model.slots[0]) == (A, [])
    assert model.restore(2, prefix.state)
    assert model.slots[2] == A


def test_prefixes_are_no_sequences_and_do_not_count_as_such(tmp_path: Path) -> None:
    CacheFiles(tmp_path, HASH, filled(A)).save_prefix(A)
    keep(tmp_path, *(text_tokens(name) for name in "BCDE"))
    assert len(kept(tmp_path)) == 4
    assert CacheFiles(tmp_path, HASH, FakeModel()).load_prefix(A) is not None
    assert CacheFiles(tmp_path, HASH, FakeModel()).load_prefix(B) is None


def test_prefixes_that_nobody_asked_for_are_removed(tmp_path: Path) -> None:
    for tokens in (A, B):
        CacheFiles(tmp_path, HASH, filled(tokens)).save_prefix(tokens)
    keep(tmp_path, C)
    files = CacheFiles(tmp_path, HASH, FakeModel())
    files.load_prefix(A)
    files.remove_other_prefixes()
    again = CacheFiles(tmp_path, HASH, FakeModel())
    assert (again.load_prefix(A) is None, again.load_prefix(B) is None) == (False, True)
    assert len(kept(tmp_path)) == 1


def test_a_new_prefix_stays_when_the_others_go(tmp_path: Path) -> None:
    files = CacheFiles(tmp_path, HASH, filled(A))
    files.save_prefix(A)
    files.remove_other_prefixes()
    assert CacheFiles(tmp_path, HASH, FakeModel()).load_prefix(A) is not None
