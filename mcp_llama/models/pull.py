"""pull: a model from the hub into the models folder, or the word that it is there already."""

import glob
import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp_llama.errors import PullError
from mcp_llama.models.download import Download, is_disk_full, resume_hint, sha256_of
from mcp_llama.models.hub import Hub
from mcp_llama.models.hub_errors import RepoMissingError, UnreachableError
from mcp_llama.models.pull_lock import locked
from mcp_llama.models.pull_view import PullView
from mcp_llama.models.quant import Choice, NoModelError, choose
from mcp_llama.models.reference import HubReference
from mcp_llama.models.repo import Repo, RepoFile, size_text


@dataclass(frozen=True, slots=True)
class _Item:
    """A file of the hub, its place in the models folder, and where its bytes are until they are all there."""

    file: RepoFile
    target: Path
    part: Path


def pull(reference: HubReference, folder: Path, view: PullView) -> Path:
    """Bring what a reference means; returns its file, the first one if it is split.

    Nothing under a model's own name is ever incomplete. The files of a split model appear together at the end.

    Raises:
        ConfigError: the token cannot be sent.
        PullError: it cannot be had; the message says what to do.
    """
    hub = Hub()
    with _explained(folder):
        try:
            repo = hub.repo(reference.repo, reference.revision)
            choice = choose(repo, reference)
        except UnreachableError as error:
            return _kept(reference, folder, view, error)
        except (RepoMissingError, NoModelError) as error:
            raise PullError(f"{error}{_suggestion(hub, reference.repo)}") from error
        view.say(_announcement(repo, choice))
        return _Pull(hub, repo, choice, folder, view).run()


class _Pull:
    """The files of one model, from the hub to their places."""

    def __init__(self, hub: Hub, repo: Repo, choice: Choice, folder: Path, view: PullView) -> None:
        self._hub = hub
        self._repo = repo
        self._view = view
        self._items = [_item(repo, file, folder) for file in choice.variant.parts]

    def run(self) -> Path:
        """Bring what is not there; returns the first file."""
        first = self._items[0].target
        for item in self._items:
            item.target.parent.mkdir(parents=True, exist_ok=True)
        with locked(first.parent / f".{first.name}.lock", self._tell_waiting):
            missing = [item for item in self._items if not self._is_there(item)]
            if not missing:
                self._view.say(f"Already there, and the same as on the hub: {first.parent}")
                return first
            _check_space(missing)
            for item in missing:
                self._fetch(item)
            # The first part comes last: a split model that has it is complete.
            for item in reversed(missing):
                os.replace(item.part, item.target)
        self._view.say(f"{self._repo.name} is in {first.parent}")
        return first

    def _tell_waiting(self) -> None:
        self._view.say("Another mcp-llama downloads this model. Waiting for it.")

    def _is_there(self, item: _Item) -> bool:
        if not item.target.is_file():
            return False
        if item.target.stat().st_size == item.file.size and self._is_right(item.target, item.file):
            return True
        self._view.say(f"{item.file.name} differs from the one on the hub, which will replace it.")
        return False

    def _fetch(self, item: _Item) -> None:
        for other in item.part.parent.glob(f".{glob.escape(item.target.name)}.*.part"):
            if other != item.part:
                other.unlink()
        done = _size(item.part)
        if done > item.file.size:
            item.part.unlink()
            done = 0
        download = Download(self._hub, self._repo, item.file, self._view.say)
        try:
            with self._view.step(item.file.name, item.file.size, done) as report:
                download.run(item.part, report)
        except KeyboardInterrupt:
            self._view.say(f"Interrupted. {resume_hint(_size(item.part), item.file.size)}")
            raise
        finally:
            if not _size(item.part):
                item.part.unlink(missing_ok=True)
        if not self._is_right(item.part, item.file):
            item.part.unlink()
            raise PullError(
                f"{item.file.name} was damaged on its way: its SHA-256 is not the one that the hub has. "
                "It was deleted; run the same command again."
            )

    def _is_right(self, path: Path, file: RepoFile) -> bool:
        if file.sha256 is None:
            self._view.say(f"The hub has no SHA-256 of {file.name}; only its size was checked.")
            return path.stat().st_size == file.size
        with self._view.step(f"Checking {file.name}", file.size, 0) as report:
            return sha256_of(path, report) == file.sha256


def _item(repo: Repo, file: RepoFile, folder: Path) -> _Item:
    target = folder / repo.name / file.path
    version = (file.sha256 or repo.commit)[:16]
    return _Item(file=file, target=target, part=target.with_name(f".{target.name}.{version}.part"))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_space(items: Sequence[_Item]) -> None:
    folder = items[0].target.parent
    needed = sum(item.file.size - min(_size(item.part), item.file.size) for item in items)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise PullError(
            f"{size_text(needed)} are to be downloaded, but {folder} has {size_text(free)} free. "
            f"Free {size_text(needed - free)}, or choose a smaller quantisation."
        )


def _announcement(repo: Repo, choice: Choice) -> str:
    variant, first = choice.variant, choice.variant.parts[0]
    count = f" in {len(variant.parts)} files" if len(variant.parts) > 1 else ""
    what = variant.quant or first.name
    return f"{repo.name}, {what}, {size_text(variant.size)}{count}: {choice.reason}."


def _suggestion(hub: Hub, name: str) -> str:
    found = [other for other in hub.similar(name) if other.lower() != name.lower()]
    return f" Perhaps {' or '.join(f'hf:{other}' for other in found)}?" if found else ""


def _kept(reference: HubReference, folder: Path, view: PullView, error: UnreachableError) -> Path:
    """What an earlier pull has brought, where the hub cannot be asked."""
    home = folder / reference.repo
    paths = [path for path in sorted(home.rglob("*.gguf")) if path.is_file()]
    files = tuple(RepoFile(path=path.relative_to(home).as_posix(), size=path.stat().st_size) for path in paths)
    try:
        choice = choose(Repo(name=reference.repo, commit="", files=files), reference)
    except PullError:
        raise error from None
    view.say(f"{error} The model of an earlier pull is there; whether it changed since is not known.")
    return home / choice.variant.parts[0].path


@contextmanager
def _explained(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise PullError(
                f"The disk is full: {folder} has {size_text(shutil.disk_usage(folder).free)} free. "
                "Make room; the same command goes on from where it was."
            ) from error
        raise PullError(f"{error.filename or folder} cannot be used: {error.strerror}.") from error
