"""Streams of events, as a careful reader sees them."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import anyio
import httpx2

from tests.gate import PATIENCE_S
from tests.server.plain.ways import Json, Way

Kind = Literal["comment", "data", "error", "done"]


@dataclass(frozen=True, slots=True)
class Item:
    """What stands between two blank lines: a comment, an event of JSON data, one that tells of an error, or the end."""

    kind: Kind
    data: Any = None

    @property
    def message(self) -> str:
        """What an error says."""
        assert self.kind == "error", self
        return self.data["error"]["message"]


def parse(block: bytes) -> Item:
    """An item, which must be written as strictly as the fussiest reader wants it."""
    text = block.decode()
    lines = text.split("\n")
    assert lines == text.splitlines(), "a reader that cuts lines as Python does gets this wrong"
    match lines:
        case [line] if line.startswith(": "):
            return Item("comment", line.removeprefix(": "))
        case ["data: [DONE]"]:
            return Item("done")
        case [line] if line.startswith("data: "):
            return Item("data", json.loads(line.removeprefix("data: "), parse_constant=_refuse))
        case ["event: error", line] if line.startswith("data: "):
            return Item("error", json.loads(line.removeprefix("data: ")))
        case _:
            raise AssertionError(f"no item: {block!r}")


def _refuse(constant: str) -> None:
    raise AssertionError(f"JSON has no {constant}")


class Stream:
    """A response that is being read, item by item."""

    def __init__(self, way: Way, response: httpx2.Response) -> None:
        self.response = response
        self.items: list[Item] = []
        """All that was read."""
        self._way = way
        self._blocks = _blocks(response.aiter_raw())

    async def item(self) -> Item:
        """The next item."""
        with anyio.fail_after(PATIENCE_S):
            async for block in self._blocks:
                self.items.append(parse(block))
                return self.items[-1]
        raise EOFError("the stream ended")

    async def event(self) -> Json:
        """The next event, which must be one of data."""
        item = await self.item()
        while item.kind == "comment":
            item = await self.item()
        assert item.kind == "data", item
        return item.data

    async def rest(self) -> "Stream":
        """Read to the end of the body; all that was read is here then."""
        with anyio.fail_after(PATIENCE_S):
            async for block in self._blocks:
                self.items.append(parse(block))
        return self

    async def until_text(self) -> None:
        """Read until there is some text."""
        while not self.text:
            await self.event()

    @property
    def events(self) -> list[Json]:
        """The data so far."""
        return [item.data for item in self.items if item.kind == "data"]

    @property
    def kinds(self) -> list[Kind]:
        """What came so far, without comments."""
        return [item.kind for item in self.items if item.kind != "comment"]

    @property
    def comments(self) -> list[str]:
        """The comments so far."""
        return [item.data for item in self.items if item.kind == "comment"]

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(map(self._way.text, self.events))

    @property
    def finish_reason(self) -> str | None:
        """How the last event of a stream without an error says that the generation ended."""
        assert self.kinds[-1] == "done", self.items[-3:]
        return self._way.finish_reason(self.events[-1])


async def _blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *blocks, rest = (rest + chunk).split(b"\n\n")
        for block in blocks:
            yield block
    assert not rest, f"the body ends within an event: {rest!r}"


class Asker:
    """A client of a server, of which every stream has a connection of its own."""

    def __init__(self, http: httpx2.AsyncClient, url: str) -> None:
        self.http = http
        self.url = url

    @asynccontextmanager
    async def stream(
        self, way: Way, prompt: str, *, headers: Json | None = None, **options: Any
    ) -> AsyncGenerator[Stream]:
        """A stream whose headers are there; leaving closes its connection."""
        request = way.request(prompt, **options)
        path = request.pop("path")
        async with self.http.stream(url=f"{self.url}{path}", headers=headers, **request) as response:
            if response.status_code != 200:
                await response.aread()
            assert response.status_code == 200, response.text
            yield Stream(way, response)

    async def read(self, way: Way, prompt: str, **options: Any) -> Stream:
        """A stream that was read to its end."""
        async with self.stream(way, prompt, **options) as stream:
            return await stream.rest()

    async def whole(self, way: Way, prompt: str, **options: Any) -> httpx2.Response:
        """The response to a request for all of the text at once."""
        return await self.send(way.request(prompt, stream=False, **options))

    async def text(self, way: Way, prompt: str, **options: Any) -> str:
        """The whole text, which must come without an error."""
        response = await self.whole(way, prompt, **options)
        assert response.status_code == 200, response.text
        return way.text(response.json())

    async def send(self, request: Json) -> httpx2.Response:
        """The response to any request."""
        rest = dict(request)
        return await self.http.request(url=f"{self.url}{rest.pop('path')}", **rest)


@asynccontextmanager
async def asker(url: str, *socket_options: tuple[int, int, int]) -> AsyncGenerator[Asker]:
    """A client of a server."""
    transport = httpx2.AsyncHTTPTransport(
        verify=False, socket_options=socket_options, limits=httpx2.Limits(max_keepalive_connections=0)
    )
    async with httpx2.AsyncClient(transport=transport, timeout=PATIENCE_S) as http:
        yield Asker(http, url)
