"""A client's own file: what is replaced, what is kept beside it, and what is left alone."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_llama.clients.failure import MergeError
from mcp_llama.clients.file import rewrite

BEFORE = '{\r\n\t"ä": 1\r\n}'
AFTER = BEFORE.upper()


def upper(text: str) -> str:
    return text.upper()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.json"
    path.write_bytes(BEFORE.encode())
    return path


def test_a_file_is_replaced_and_stays_beside_itself_as_it_was(file: Path) -> None:
    written = rewrite(file, upper)
    assert file.read_bytes() == AFTER.encode()
    assert (written.changed, written.backup) == (True, file.with_name("settings.json.bak"))
    assert file.with_name("settings.json.bak").read_bytes() == BEFORE.encode()
    assert names(file.parent) == {"settings.json", "settings.json.bak"}


def test_a_file_that_would_be_the_same_is_not_touched(file: Path) -> None:
    before = file.stat()
    written = rewrite(file, str)
    assert (written.changed, written.backup) == (False, None)
    assert file.stat() == before
    assert names(file.parent) == {"settings.json"}


def test_an_older_backup_is_not_overwritten(file: Path) -> None:
    first = file.with_name("settings.json.bak")
    first.write_text("mine")
    assert rewrite(file, upper).backup == file.with_name("settings.json.bak2")
    assert rewrite(file, str.lower).backup == file.with_name("settings.json.bak3")
    assert first.read_text() == "mine"
    assert file.with_name("settings.json.bak2").read_bytes() == BEFORE.encode()
    assert file.with_name("settings.json.bak3").read_bytes() == AFTER.encode()


def test_a_file_that_is_not_there_is_made_with_its_folders(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "settings.json"
    written = rewrite(file, lambda text: f"{text}new")
    assert (written.changed, written.backup) == (True, None)
    assert file.read_text() == "new"
    assert names(file.parent) == {"settings.json"}
    plain = tmp_path / "plain"
    plain.touch()
    assert file.stat().st_mode == plain.stat().st_mode


def test_a_byte_order_mark_is_kept_and_not_shown_to_the_editor(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + BEFORE.encode())
    seen: list[str] = []
    rewrite(file, lambda text: seen.append(text) or upper(text))
    assert seen == [BEFORE]
    assert file.read_bytes() == b"\xef\xbb\xbf" + AFTER.encode()


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_the_permissions_are_those_of_the_file_and_so_are_those_of_the_backup(mode: int, file: Path) -> None:
    file.chmod(mode)
    backup = rewrite(file, upper).backup
    assert backup is not None
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, backup)] == [mode, mode]


def test_nobody_else_can_read_what_only_the_owner_could(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    copymode = shutil.copymode

    def watch(source: Path, path: Path) -> None:
        made.append(stat.S_IMODE(path.stat().st_mode))
        copymode(source, path)

    monkeypatch.setattr(shutil, "copymode", watch)
    rewrite(file, upper)
    assert made == [0o600, 0o600]


def test_a_reader_sees_the_old_file_or_the_new_one_and_never_a_part(file: Path) -> None:
    with file.open("rb") as reader:
        rewrite(file, upper)
        assert reader.read() == BEFORE.encode()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_stays_the_owner_though_root_writes(file: Path) -> None:
    os.chown(file, 12, 34)
    backup = rewrite(file, upper).backup
    assert backup is not None
    assert [(path.stat().st_uid, path.stat().st_gid) for path in (file, backup)] == [(12, 34)] * 2


def test_a_link_stays_a_link_to_the_file_that_changes(file: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    middle, link = tmp_path / "middle.json", tmp_path / "home" / "link.json"
    middle.symlink_to("settings.json")
    link.symlink_to("../middle.json")
    written = rewrite(link, upper)
    assert (link.readlink(), middle.readlink()) == (Path("../middle.json"), Path("settings.json"))
    assert file.read_bytes() == AFTER.encode()
    assert written.backup == file.with_name("settings.json.bak")
    assert names(link.parent) == {"link.json"}


def test_a_link_to_nothing_yet_leads_to_the_file_that_is_made(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to("dotfiles/settings.json")
    rewrite(link, lambda _: "new")
    assert link.is_symlink()
    assert (tmp_path / "dotfiles" / "settings.json").read_text() == "new"


def broken(text: str) -> str:
    raise MergeError("it is damaged")


def deep(text: str) -> str:
    raise RecursionError


@pytest.mark.parametrize(
    ("content", "edit", "said"),
    [
        (BEFORE.encode(), broken, "it is damaged"),
        (BEFORE.encode(), deep, "it is nested too deeply"),
        (b"ab\xff", upper, "byte 2 is not UTF-8"),
        (b"\xef\xbb\xbfab\xff", upper, "byte 5 is not UTF-8"),
        ("{}".encode("utf-16"), upper, "byte 0 is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_edited_is_left_alone(
    content: bytes, edit: Callable[[str], str], said: str, file: Path
) -> None:
    file.write_bytes(content)
    before = file.stat()
    with pytest.raises(MergeError, match=f"^{said}$"):
        rewrite(file, edit)
    assert (file.read_bytes(), file.stat()) == (content, before)
    assert names(file.parent) == {"settings.json"}


def test_a_file_that_another_program_writes_meanwhile_is_left_to_it(file: Path) -> None:
    def edit(text: str) -> str:
        file.write_text("theirs")
        return text.upper()

    with pytest.raises(MergeError, match="another program changed it just now; run the command again"):
        rewrite(file, edit)
    assert file.read_text() == "theirs"
    assert names(file.parent) == {"settings.json"}


def test_a_file_that_another_program_makes_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"

    def edit(text: str) -> str:
        file.write_text("theirs")
        return "ours"

    with pytest.raises(MergeError, match="another program changed it"):
        rewrite(file, edit)
    assert names(tmp_path) == {"settings.json"}
    assert file.read_text() == "theirs"


def test_a_file_that_must_not_be_written_is_left_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write anything, so the answer of the system is put in its mouth.
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    with pytest.raises(MergeError, match=r"^it is read-only$"):
        rewrite(file, upper)
    assert names(file.parent) == {"settings.json"}


@pytest.mark.parametrize("free", [0, 1])
def test_a_disk_that_is_full_costs_nothing(free: int, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[int] = []

    def full(number: int) -> None:
        files.append(number)
        if len(files) > free:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MergeError, match=r"^No space left on device$"):
        rewrite(file, upper)
    assert file.read_bytes() == BEFORE.encode()
    assert names(file.parent) == {"settings.json"}


def test_a_folder_in_the_place_of_the_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(MergeError, match="Is a directory"):
        rewrite(tmp_path, upper)
