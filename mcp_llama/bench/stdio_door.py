"""StdioDoor: a server process of the client's own, and lines of JSON-RPC."""

import os
import re
import selectors
import subprocess
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from mcp_llama.bench.door import News, Record, unanswered
from mcp_llama.bench.http_wire import Piece
from mcp_llama.bench.job import Answer, Job
from mcp_llama.bench.mcp_wire import EVENT, McpWire

_READ = 2**20
_END_S = 5.0
_RESPONSE = re.compile(rb'\{"jsonrpc":"2.0","id":(\d+)')
_TOKEN = re.compile(rb'"progressToken":(\d+)')


class StdioDoor:
    """Satisfies `Door`. The ids go on from batch to batch, because the server hears of all of them."""

    def __init__(self, command: Sequence[str]) -> None:
        self._wire = McpWire()
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._records: dict[int, Record] = {}
        self._open: set[int] = set()
        self._lines: list[Piece] = []
        self._rest = b""
        self._first = 0

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def send(self, number: int, job: Job) -> None:
        """Begin a job; see `Door.send`."""
        self._records[number] = Record(time.perf_counter())
        self._open.add(number)
        self._write(self._wire.body(self._first + number, job))

    def cancel(self, number: int) -> None:
        """Tell the server; it answers no more. See `Door.cancel`."""
        self._records[number].cancelled = time.perf_counter()
        self._open.discard(number)
        self._write(self._wire.cancellation(self._first + number))

    def wait(self, timeout: float, *, count: bool) -> list[News] | None:
        """Read what is there; see `Door.wait`."""
        if not self._selector.select(timeout):
            return None
        data = os.read(self._stdout.fileno(), _READ)
        now = time.perf_counter()
        if not data:
            return self._lost()
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines += ((now, line) for line in lines)
        ended = [News(number, ended=True) for number in map(self._answered, lines) if number is not None]
        return ended + (self._count(lines) if count else [])

    def answers(self, count: int) -> list[Answer]:
        """Parse all; see `Door.answers`."""
        messages: defaultdict[int, list[Piece]] = defaultdict(list)
        for moment, line in self._lines:
            if found := _RESPONSE.match(line) or _TOKEN.search(line):
                messages[int(found[1]) - self._first].append((moment, line))
        for number in self._open:
            self._records[number].error = self._records[number].error or "the server fell silent"
        records, self._records = self._records, {}
        self._lines.clear()
        self._open.clear()
        self._first += count
        now = time.perf_counter()
        return [
            unanswered(records.get(number), now) or self._wire.answer(records[number].sent, messages[number])
            for number in range(count)
        ]

    def close(self) -> None:
        """End the server."""
        self._stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdout.close()

    def _write(self, message: bytes) -> None:
        # If the server is gone, its stdout ends too, and that tells all jobs.
        with suppress(BrokenPipeError):
            self._stdin.write(message + b"\n")

    def _answered(self, line: bytes) -> int | None:
        found = _RESPONSE.match(line)
        number = int(found[1]) - self._first if found else -1
        if number not in self._open:
            return None
        self._open.discard(number)
        return number

    def _count(self, lines: list[bytes]) -> list[News]:
        tokens = [_TOKEN.search(line) for line in lines if EVENT.search(line)]
        return [News(number, 1) for token in tokens if token and (number := int(token[1]) - self._first) >= 0]

    def _lost(self) -> list[News]:
        lost, self._open = self._open, set[int]()
        for number in lost:
            self._records[number].error = "the server ended"
        return [News(number, ended=True) for number in lost]
