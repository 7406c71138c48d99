"""Download: one file from the hub, appended to what is there of it."""

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import BinaryIO

from mcp_llama.errors import PullError
from mcp_llama.models.hub import Hub
from mcp_llama.models.hub_errors import UnreachableError
from mcp_llama.models.pull_view import Report
from mcp_llama.models.repo import Repo, RepoFile, size_text

REQUESTED_AT_ONCE = 2**34
"""The hub's network serves no answer of more than 50 GB, but the parts of a larger file."""
WAITS_S = (1, 2, 4, 8, 16)
"""Pauses between attempts that bring nothing; each byte that comes starts them anew."""
_LONGEST_WAIT_S = 60
_READ_AT_ONCE = 2**22


class Download:
    """Brings one file; `say` tells people of what goes wrong on the way."""

    def __init__(self, hub: Hub, repo: Repo, file: RepoFile, say: Callable[[str], None]) -> None:
        self._hub = hub
        self._repo = repo
        self._file = file
        self._say = say

    def run(self, part: Path, report: Report) -> None:
        """Append what is missing. What came stays there, whatever happens.

        Raises:
            PullError: the hub refuses, sends too much, or cannot be reached for long.
            OSError: the disk is full, or the file cannot be written.
        """
        failures = 0
        with part.open("ab") as out:
            while (done := out.tell()) < self._file.size:
                problem = None
                try:
                    self._receive(out, report)
                except UnreachableError as error:
                    problem = error
                if out.tell() > done:
                    failures = 0
                elif problem is None:
                    problem = UnreachableError(f"{self._file.name} comes without a new byte.")
                if problem is not None:
                    self._wait(failures, problem, out.tell())
                    failures += 1
            os.fsync(out.fileno())

    def _receive(self, out: BinaryIO, report: Report) -> None:
        start = out.tell()
        end = min(start + REQUESTED_AT_ONCE, self._file.size)
        with self._hub.read(self._repo, self._file, start, end) as (first, chunks):
            if first != start:
                out.truncate(first)
                out.seek(first)
            for chunk in chunks:
                if out.tell() + len(chunk) > self._file.size:
                    out.truncate(0)
                    raise PullError(
                        f"The hub sends more than the {self._file.size:,} bytes that {self._file.name} has."
                    )
                out.write(chunk)
                report(out.tell())

    def _wait(self, failures: int, problem: UnreachableError, done: int) -> None:
        asked = problem.wait_s or 0
        if failures == len(WAITS_S) or asked > _LONGEST_WAIT_S:
            raise UnreachableError(f"{problem} {resume_hint(done, self._file.size)}", problem.wait_s) from problem
        seconds = max(WAITS_S[failures], asked)
        self._say(f"{problem} Going on in {seconds} s, at {size_text(done)} of {size_text(self._file.size)}.")
        sleep(seconds)


def resume_hint(done: int, total: int) -> str:
    """What to do about a download that ended early."""
    return f"{size_text(done)} of {size_text(total)} are there; the same command goes on from there."


def is_disk_full(error: OSError) -> bool:
    """Whether there is no room left, or not for this user."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def sha256_of(path: Path, report: Report) -> str:
    """The SHA-256 of the bytes that are on the disk, in hexadecimal."""
    digest = hashlib.sha256()
    done = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_READ_AT_ONCE):
            digest.update(chunk)
            done += len(chunk)
            report(done)
    return digest.hexdigest()
