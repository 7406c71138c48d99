"""HTTP as far as a benchmark needs it: a POST, and a response read after its end, with the time of each event."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

Piece = tuple[float, bytes]
"""Bytes, and when they came."""

_DATA = b"data:"


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response. `events` are the data of its server-sent events, or the body if it is no stream."""

    status: int
    events: tuple[Piece, ...]
    body: bytes


def post(host: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A request; the server closes the connection at the end of its response."""
    fields = {
        "Host": host,
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def read_response(pieces: Sequence[Piece]) -> Response:
    """The response that came in these pieces.

    Raises:
        ValueError: it breaks off, or is no HTTP.
    """
    raw = b"".join(data for _, data in pieces)
    head, end, _ = raw.partition(b"\r\n\r\n")
    if not end:
        raise ValueError("the connection closed before the response")
    first, *fields = head.decode("latin-1").lower().split("\r\n")
    headers = {name.strip(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    status = int(first.partition(" ")[2][:3])
    parts = _parts(raw, len(head) + len(end), chunked="chunked" in headers.get("transfer-encoding", ""))
    body = b"".join(raw[begin:stop] for begin, stop in parts)
    clock = _Clock(pieces, parts)
    if headers.get("content-type", "").startswith("text/event-stream"):
        return Response(status, tuple(_events(body, clock)), body)
    return Response(status, ((pieces[-1][0], body),), body)


def _parts(raw: bytes, begin: int, *, chunked: bool) -> list[tuple[int, int]]:
    """Where in the bytes the parts of the body are. Of a response that breaks off, those that came."""
    if not chunked:
        return [(begin, len(raw))]
    parts: list[tuple[int, int]] = []
    while (line_end := raw.find(b"\r\n", begin)) > 0:
        size = int(raw[begin:line_end].split(b";")[0], 16)
        if not size:
            break
        start = line_end + 2
        parts.append((start, min(start + size, len(raw))))
        begin = start + size + 2
    return parts


class _Clock:
    """When each byte of the body came."""

    def __init__(self, pieces: Sequence[Piece], parts: Sequence[tuple[int, int]]) -> None:
        self._times = [time for time, _ in pieces]
        self._ends = list(accumulate(len(data) for _, data in pieces))
        self._begins = [begin for begin, _ in parts]
        self._offsets = [0, *accumulate(stop - begin for begin, stop in parts)]

    def time(self, offset: int) -> float:
        part = bisect_right(self._offsets, offset) - 1
        raw = self._begins[part] + offset - self._offsets[part]
        return self._times[bisect_left(self._ends, raw + 1)]


def _events(body: bytes, clock: _Clock) -> list[Piece]:
    found: list[Piece] = []
    offset = 0
    for line in body.splitlines(keepends=True):
        offset += len(line)
        if line.startswith(_DATA) and line.endswith((b"\n", b"\r")):
            found.append((clock.time(offset - 1), line[len(_DATA) :].strip()))
    return found
