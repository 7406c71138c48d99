"""Child: a process of the benchmark, which talks by lines and never outlives it."""

import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import IO

import anyio

from mcp_llama.bench.failure import TurnError
from mcp_llama.bench.job import Batch, Job, jobs_line, read_batch

_LONGEST_LINE = 2**28
_END_S = 8.0


class Child:
    """A process that runs."""

    def __init__(self, name: str, process: Process, errors: IO[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._name = name
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._errors = errors

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.returncode is None

    async def line(self) -> bytes:
        """The next line that it writes.

        Raises:
            TurnError: it ended.
        """
        line = await self._stdout.readline()
        if not line.endswith(b"\n"):
            with anyio.move_on_after(_END_S):
                await self._process.wait()
            raise TurnError(f"{self._name} ended: {self.last_words()}")
        return line

    async def write(self, line: bytes) -> None:
        """Give it a line.

        Raises:
            TurnError: it ended.
        """
        try:
            self._stdin.write(line)
            await self._stdin.drain()
        except ConnectionError:
            raise TurnError(f"{self._name} ended: {self.last_words()}") from None

    async def run(self, jobs: Sequence[Job]) -> Batch:
        """Let a worker run a batch.

        Raises:
            TurnError: it ended.
        """
        await self.write(jobs_line(jobs))
        return read_batch(await self.line())

    def last_words(self) -> str:
        """The last line that it, or a process that it started, wrote to stderr, or else how it ended."""
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1].removeprefix("mcp-llama: ") if said else f"status {self._process.returncode}"

    async def end(self, patience: float) -> None:
        """End it and all that it started: with its stdin, by a signal, at last by force."""
        # The command refuses to run under Windows, which has no groups of processes to end.
        assert sys.platform != "win32"
        self._stdin.close()
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number is not None:
                self._signal(number)
            with anyio.move_on_after(patience if number is None else _END_S):
                await self._process.wait()
                break
        # What the process may have left behind.
        self._signal(signal.SIGKILL)
        await self._process.communicate()

    def _signal(self, number: signal.Signals) -> None:
        assert sys.platform != "win32"
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)


@asynccontextmanager
async def child(name: str, command: Sequence[str], *, patience: float = 0.0) -> AsyncGenerator[Child]:
    """A process for the time of the body. It may take `patience` seconds to end by itself when its stdin does.

    It has a session of its own: Ctrl-C is for this process alone, which then ends the others in order.
    """
    with tempfile.TemporaryFile() as errors:
        process = await create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=errors, limit=_LONGEST_LINE, start_new_session=True
        )
        started = Child(name, process, errors)
        try:
            yield started
        except BaseException:
            patience = 0.0
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await started.end(patience)
