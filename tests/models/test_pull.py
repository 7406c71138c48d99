"""`models pull` when the hub gives what is asked, and when the connection does not last."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.hub_stand_in import HubRepo, Refusal
from tests.models.pulling import CONTENT, FILE, REPO, Pulling, pulling

SPLIT = {f"Q8_0/tiny-Q8_0-0000{number}-of-00003.gguf": CONTENT[: number * 1000] for number in (1, 2, 3)}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Pulling]:
    with pulling(monkeypatch, tmp_path, capsys) as here:
        yield here


def part(here: Pulling, content: bytes = CONTENT, path: str = FILE) -> Path:
    """Where the bytes of a file are until they are all there."""
    target = here.folder / REPO / path
    return target.with_name(f".{target.name}.{hashlib.sha256(content).hexdigest()[:16]}.part")


@pytest.mark.parametrize("name", [f"hf:{REPO}", REPO, f"hf:{REPO}:q4_k_m", f"hf:{REPO}/{FILE}", f"{REPO}@main"])
def test_a_model_is_put_under_its_owner_and_its_repository(name: str, here: Pulling) -> None:
    outcome = here.pull(name)
    assert (outcome.status, outcome.out) == (0, f"{here.file}\n"), outcome
    assert here.file.read_bytes() == CONTENT
    assert here.kept() == [f"{REPO}/{FILE}"]


def test_stderr_tells_what_was_chosen_how_far_it_is_and_how_to_use_it(here: Pulling) -> None:
    said = here.pull().err.splitlines()
    assert said[0] == f"{REPO}, Q4_K_M, 1.0 MiB: it is the only model there."
    assert said[1] == f"{FILE}: 1.0 MiB"
    assert said[-1] == f"Use it: mcp-llama serve --model {here.file}"


def test_nothing_is_asked_twice_and_the_file_is_that_of_the_commit_that_was_listed(here: Pulling) -> None:
    here.pull()
    assert [request.path.partition("?")[0] for request in here.hub.requests] == [
        f"/api/models/{REPO}",
        f"/{REPO}/resolve/{'c' * 40}/{FILE}",
        f"/{REPO}/{FILE}",
    ]
    assert here.hub.ranges(FILE) == [f"bytes=0-{len(CONTENT) - 1}"]


def test_the_token_stays_with_the_hub(here: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_member")
    here.repo.is_private = True
    assert here.pull().status == 0
    sent = {(request.origin, request.headers.get("authorization")) for request in here.hub.requests}
    assert sent == {("hub", "Bearer hf_member"), ("files", None)}


def test_a_revision_is_asked_for(here: Pulling) -> None:
    here.repo.revisions |= {"v2", "refs/pr/7"}
    assert here.pull(f"hf:{REPO}@v2").status == 0
    assert here.pull(f"hf:{REPO}@refs/pr/7:Q4_K_M").status == 0
    asked = [request.path.partition("?")[0] for request in here.hub.requests if "/revision/" in request.path]
    assert asked == [f"/api/models/{REPO}/revision/v2", f"/api/models/{REPO}/revision/refs%2Fpr%2F7"]


def test_a_repository_that_moved_is_kept_under_its_new_name(here: Pulling) -> None:
    here.hub.repos["old/Name"] = HubRepo({}, moved_to=REPO)
    assert here.pull("old/Name").out == f"{here.file}\n"


def test_a_model_that_is_there_already_is_not_downloaded_again(here: Pulling) -> None:
    here.pull()
    before = here.file.stat()
    outcome = here.pull()
    assert (outcome.status, outcome.out) == (0, f"{here.file}\n")
    assert f"Already there, and the same as on the hub: {here.file.parent}" in outcome.err
    after = here.file.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert len(here.hub.ranges(FILE)) == 1


def test_a_model_that_changed_on_the_hub_is_replaced(here: Pulling) -> None:
    here.pull()
    here.repo.files[FILE] = CONTENT[::-1]
    outcome = here.pull()
    assert f"{FILE} differs from the one on the hub, which will replace it." in outcome.err
    assert here.file.read_bytes() == CONTENT[::-1]


def test_a_split_model_is_taken_whole_and_its_first_part_is_the_path(here: Pulling) -> None:
    here.repo.files |= SPLIT
    for name in (f"{REPO}:Q8_0", f"{REPO}/{list(SPLIT)[1]}"):
        outcome = here.pull(name)
        assert outcome.out == f"{here.folder / REPO / next(iter(SPLIT))}\n"
    assert {path: (here.folder / REPO / path).read_bytes() for path in SPLIT} == SPLIT
    assert here.kept() == sorted(f"{REPO}/{path}" for path in SPLIT)


def test_of_a_split_model_no_part_appears_before_all_are_there(here: Pulling) -> None:
    here.repo.files |= SPLIT
    first, second, third = SPLIT
    here.hub.refusals[third] = [Refusal(404, {"X-Error-Code": "EntryNotFound"})]
    assert here.pull(f"{REPO}:Q8_0").status == 1
    parts = [part(here, SPLIT[path], path) for path in SPLIT]
    assert [path.exists() for path in parts[:2]] == [True, True]
    assert not [name for name in here.kept() if name.endswith(".gguf")]
    here.hub.requests.clear()
    assert here.pull(f"{REPO}:Q8_0").status == 0
    assert [here.hub.ranges(path) for path in (first, second)] == [[], []]
    assert here.kept() == sorted(f"{REPO}/{path}" for path in SPLIT)


def test_the_first_part_of_a_split_model_appears_last(here: Pulling) -> None:
    here.repo.files |= SPLIT
    first, second, third = (here.folder / REPO / path for path in SPLIT)
    second.mkdir(parents=True)
    assert here.pull(f"{REPO}:Q8_0").err.splitlines()[-1].endswith(" cannot be used: Is a directory.")
    assert (first.exists(), third.exists()) == (False, True)


@pytest.mark.parametrize("ignores_ranges", [False, True])
def test_a_connection_that_breaks_off_is_taken_up_where_it_was(here: Pulling, ignores_ranges: bool) -> None:
    here.hub.ignores_ranges = ignores_ranges
    here.hub.cuts[FILE] = [200_000, 300_000]
    outcome = here.pull()
    assert (outcome.status, here.file.read_bytes()) == (0, CONTENT)
    last = len(CONTENT) - 1
    asked = [f"bytes=0-{last}", f"bytes=200000-{last}", f"bytes={300_000 if ignores_ranges else 500_000}-{last}"]
    assert here.hub.ranges(FILE) == asked
    assert here.waits == [1, 1]
    assert outcome.err.count(" Going on in 1 s, at ") == 2
    assert f"Going on in 1 s, at 200,000 bytes of {len(CONTENT) / 2**20:.1f} MiB." in outcome.err


def test_a_hub_that_brings_nothing_is_given_up_and_what_came_is_kept(here: Pulling) -> None:
    here.hub.cuts[FILE] = [5000, *([0] * 6)]
    outcome = here.pull()
    assert outcome.status == 1
    assert here.waits == [1, 2, 4, 8, 16]
    assert outcome.out == ""
    assert outcome.err.splitlines()[-1].endswith(
        "5,000 bytes of 1.0 MiB are there; the same command goes on from there."
    )
    assert part(here).read_bytes() == CONTENT[:5000]
    assert here.kept() == [part(here).relative_to(here.folder).as_posix()]
    outcome = here.pull()
    assert here.file.read_bytes() == CONTENT
    assert here.hub.ranges(FILE)[-1] == f"bytes=5000-{len(CONTENT) - 1}"
    assert f"{FILE}: 1.0 MiB, 5,000 bytes are there already" in outcome.err


def test_a_busy_hub_is_asked_again_when_it_says(here: Pulling) -> None:
    here.hub.refusals[FILE] = [
        Refusal(429, {"Retry-After": "7"}),
        Refusal(503),
        Refusal(429, {"RateLimit": '"api";r=0;t=9'}),
    ]
    outcome = here.pull()
    assert (outcome.status, here.waits) == (0, [7, 2, 9]), outcome


def test_bytes_of_a_version_that_the_hub_has_no_more_are_not_used(here: Pulling) -> None:
    name = "tiny[1].gguf"
    here.repo.files = {name: CONTENT}
    stale = part(here, b"older", name)
    other = stale.with_name(".tiny1.gguf.0123456789abcdef.part")
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"old")
    other.write_bytes(b"of another file")
    assert here.pull().status == 0
    assert (here.folder / REPO / name).read_bytes() == CONTENT
    assert not stale.exists()
    assert other.exists()


def test_more_bytes_than_the_file_has_are_thrown_away(here: Pulling) -> None:
    part(here).parent.mkdir(parents=True)
    part(here).write_bytes(CONTENT + b"more")
    assert here.pull().status == 0
    assert here.file.read_bytes() == CONTENT


def test_bytes_that_are_all_there_are_checked_without_a_request(here: Pulling) -> None:
    part(here).parent.mkdir(parents=True)
    part(here).write_bytes(CONTENT)
    assert here.pull().status == 0
    assert here.hub.ranges(FILE) == []
    assert here.file.read_bytes() == CONTENT


def test_a_large_file_is_asked_for_in_parts(here: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_llama.models.download.REQUESTED_AT_ONCE", 400_000)
    assert here.pull().status == 0
    assert here.file.read_bytes() == CONTENT
    last = len(CONTENT) - 1
    assert here.hub.ranges(FILE) == ["bytes=0-399999", "bytes=400000-799999", f"bytes=800000-{last}"]
    assert here.waits == []


def test_wrong_bytes_are_deleted(here: Pulling) -> None:
    here.repo.claimed_sha256[FILE] = "0" * 64
    outcome = here.pull()
    assert (outcome.status, outcome.out, here.kept()) == (1, "", [])
    assert outcome.err.splitlines()[-1] == (
        f"mcp-llama: {FILE} was damaged on its way: its SHA-256 is not the one that the hub has. "
        "It was deleted; run the same command again."
    )


def test_a_damaged_beginning_is_found_when_the_rest_has_come(here: Pulling) -> None:
    part(here).parent.mkdir(parents=True)
    part(here).write_bytes(b"x" * 1000)
    assert "was damaged on its way" in here.pull().err
    assert here.kept() == []
    assert here.pull().status == 0


def test_a_file_without_a_checksum_is_taken_and_that_is_said(here: Pulling) -> None:
    here.repo.without_lfs.add(FILE)
    outcome = here.pull()
    assert here.file.read_bytes() == CONTENT
    assert f"The hub has no SHA-256 of {FILE}; only its size was checked." in outcome.err


def test_of_a_mirror_that_lists_names_only_the_headers_are_read(here: Pulling) -> None:
    here.repo.without_sizes = True
    assert here.pull().status == 0
    assert here.file.read_bytes() == CONTENT
    here.repo.claimed_sha256[FILE] = "0" * 64
    assert here.pull().status == 1


def test_an_answer_that_does_not_end_is_not_followed(here: Pulling) -> None:
    here.repo.claimed_size[FILE] = size = len(CONTENT) - 1
    here.hub.ignores_ranges = True
    outcome = here.pull()
    assert outcome.err.splitlines()[-1] == f"mcp-llama: The hub sends more than the {size:,} bytes that {FILE} has."
    assert here.kept() == []


def test_a_file_shorter_than_it_should_be_is_given_up(here: Pulling) -> None:
    here.repo.claimed_size[FILE] = len(CONTENT) + 1
    here.hub.ignores_ranges = True
    outcome = here.pull()
    assert outcome.status == 1
    assert f"{FILE} comes without a new byte. " in outcome.err.splitlines()[-1]


def test_what_an_earlier_pull_brought_serves_where_the_hub_cannot_be_asked(
    here: Pulling, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.pull()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    outcome = here.pull()
    assert (outcome.status, outcome.out) == (0, f"{here.file}\n")
    assert outcome.err.splitlines()[0] == (
        "HF_HUB_OFFLINE is set, so the hub is not asked. Unset it to download. "
        "The model of an earlier pull is there; whether it changed since is not known."
    )
    assert here.pull(f"{REPO}:Q8_0").problem(1).endswith("so the hub is not asked. Unset it to download.")


def test_a_name_with_spaces_is_quoted_in_the_hint(here: Pulling) -> None:
    here.repo.files = {"my tiny.gguf": CONTENT}
    outcome = here.pull()
    path = here.folder / REPO / "my tiny.gguf"
    assert outcome.out == f"{path}\n"
    assert outcome.err.splitlines()[-1] == f"Use it: mcp-llama serve --model '{path}'"


def test_the_disk_that_fills_up_is_told_and_what_came_is_kept(here: Pulling) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    part(here).parent.mkdir(parents=True)
    part(here).symlink_to("/dev/full")
    outcome = here.pull()
    assert outcome.status == 1
    said = outcome.err.splitlines()[-1]
    assert said.startswith(f"mcp-llama: The disk is full: {here.folder} has ")
    assert said.endswith("Make room; the same command goes on from where it was.")
