"""HttpDoor: a connection for each job."""

import json
import re
import selectors
import socket
import time
from collections.abc import Sequence
from typing import Protocol, cast

from mcp_llama.bench.door import News, Record, unanswered
from mcp_llama.bench.http_wire import Piece, post, read_response
from mcp_llama.bench.job import Answer, Job
from mcp_llama.bench.openai_wire import error_text

_CONNECT_S = 10.0
_READ = 2**16
_OK = 200


class Wire(Protocol):
    """What is said over the connection."""

    @property
    def path(self) -> str:
        """Where it is said."""
        ...

    def body(self, number: int, job: Job) -> bytes:
        """The request of a job."""
        ...

    def headers(self) -> dict[str, str]:
        """What the request has beside its body."""
        ...

    def answer(self, sent: float, events: Sequence[Piece]) -> Answer:
        """What the events tell."""
        ...


class HttpDoor:
    """Satisfies `Door`. `base` is the path of the server's URL."""

    def __init__(self, host: str, port: int, base: str, wire: Wire, event: re.Pattern[bytes]) -> None:
        self._address = (host, port)
        self._base = base
        self._wire = wire
        self._event = event
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[int, socket.socket] = {}
        self._records: dict[int, Record] = {}
        self._failed: list[int] = []

    def send(self, number: int, job: Job) -> None:
        """Begin a job; see `Door.send`."""
        host, port = self._address
        request = post(
            f"{host}:{port}", self._base + self._wire.path, self._wire.body(number, job), self._wire.headers()
        )
        self._records[number] = Record(time.perf_counter())
        try:
            connection = socket.create_connection(self._address, _CONNECT_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(request)
        except OSError as error:
            self._records[number].error = f"no server answers at {host}:{port}: {error}"
            self._failed.append(number)
            return
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ, number)
        self._sockets[number] = connection

    def cancel(self, number: int) -> None:
        """Close the connection; see `Door.cancel`."""
        self._records[number].cancelled = time.perf_counter()
        self._close(number)

    def wait(self, timeout: float, *, count: bool) -> list[News] | None:
        """Read what is there; see `Door.wait`."""
        if self._failed:
            failed, self._failed = self._failed, []
            return [News(number, ended=True) for number in failed]
        ready = self._selector.select(timeout)
        return [self._read(cast(int, key.data), count=count) for key, _ in ready] if ready else None

    def answers(self, count: int) -> list[Answer]:
        """Parse all; see `Door.answers`."""
        for number in list(self._sockets):
            self._records[number].error = "the server fell silent"
            self._close(number)
        records, self._records = self._records, {}
        now = time.perf_counter()
        return [unanswered(record, now) or self._parse(record) for record in map(records.get, range(count))]

    def _read(self, number: int, *, count: bool) -> News:
        try:
            data = self._sockets[number].recv(_READ)
        except OSError as error:
            self._records[number].error = f"the connection broke: {error}"
            data = b""
        if not data:
            self._close(number)
            return News(number, ended=True)
        self._records[number].pieces.append((time.perf_counter(), data))
        return News(number, len(self._event.findall(data)) if count else 0)

    def _close(self, number: int) -> None:
        connection = self._sockets.pop(number)
        self._selector.unregister(connection)
        connection.close()

    def _parse(self, record: Record | None) -> Answer:
        assert record is not None
        try:
            response = read_response(record.pieces)
            if response.status != _OK:
                error = f"HTTP {response.status}: {_reason(response.body)}"
                return Answer(sent=record.sent, error=error)
            return self._wire.answer(record.sent, response.events)
        except ValueError as error:
            return Answer(sent=record.sent, error=f"the response makes no sense: {error}")


def _reason(body: bytes) -> str:
    try:
        return error_text(json.loads(body))
    except ValueError:
        return body[:200].decode("utf-8", "replace")
