"""Clients that know only HTTP and JSON, for what the SDK's clients would never do."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import httpx2

from tests.gate import PATIENCE_S
from tests.server.client import Era

MODERN_VERSION = "2026-07-28"
LEGACY_VERSION = "2025-11-25"

Message = dict[str, Any]


def plain_http(
    headers: dict[str, str] | None = None, timeout: httpx2.Timeout | None = None, auth: httpx2.Auth | None = None
) -> httpx2.AsyncClient:
    """The client that the SDK would make, but it does not read the certificates that plain HTTP has no use for."""
    timeout = timeout or httpx2.Timeout(30, read=300)
    return httpx2.AsyncClient(headers=headers, timeout=timeout, auth=auth, verify=False)


def request(era: Era, message_id: int, method: str, params: Message, *, progress: bool = True) -> Message:
    """A request; its id is also its progress token."""
    meta: Message = {"progressToken": message_id} if progress else {}
    if era == "modern":
        meta["io.modelcontextprotocol/protocolVersion"] = MODERN_VERSION
        meta["io.modelcontextprotocol/clientCapabilities"] = {}
    return {"jsonrpc": "2.0", "id": message_id, "method": method, "params": {**params, "_meta": meta}}


def tool_call(era: Era, message_id: int, tool: str, arguments: Message, *, progress: bool = True) -> Message:
    """A request that calls a tool."""
    return request(era, message_id, "tools/call", {"name": tool, "arguments": arguments}, progress=progress)


def initialize(message_id: int = 0) -> Message:
    """The first request of a legacy session."""
    client = {"name": "raw", "version": "0"}
    params = {"protocolVersion": LEGACY_VERSION, "capabilities": {}, "clientInfo": client}
    return {"jsonrpc": "2.0", "id": message_id, "method": "initialize", "params": params}


INITIALIZED: Message = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class RawHttp:
    """A client of `/mcp`, modern or in a legacy session."""

    def __init__(self, http: httpx2.AsyncClient, url: str, era: Era) -> None:
        self.http = http
        self.url = f"{url}/mcp"
        self.era: Era = era
        self.session: dict[str, str] = {}

    def headers(self, message: Message) -> dict[str, str]:
        """The headers that a message needs."""
        headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        if self.era == "legacy":
            version = {"MCP-Protocol-Version": LEGACY_VERSION} if self.session else {}
            return {**headers, **version, **self.session}
        headers |= {"MCP-Protocol-Version": MODERN_VERSION, "Mcp-Method": message["method"]}
        name = message["params"].get("name")
        return headers | ({} if name is None else {"Mcp-Name": name})

    def stream(self, message: Message) -> AbstractAsyncContextManager[httpx2.Response]:
        """The response to a message, once its headers are there; leaving closes the connection."""
        return self.http.stream("POST", self.url, content=json.dumps(message), headers=self.headers(message))

    async def post(self, message: Message) -> httpx2.Response:
        """The whole response to a message."""
        return await self.http.post(self.url, content=json.dumps(message), headers=self.headers(message))

    async def open_session(self) -> None:
        """Begin a legacy session."""
        response = await self.post(initialize())
        self.session = {"Mcp-Session-Id": response.headers["Mcp-Session-Id"]}
        await self.post(INITIALIZED)


@asynccontextmanager
async def raw_http(url: str, era: Era, *socket_options: tuple[int, int, int]) -> AsyncGenerator[RawHttp]:
    """A client of `/mcp` that is ready for its first call."""
    transport = httpx2.AsyncHTTPTransport(verify=False, socket_options=socket_options)
    async with httpx2.AsyncClient(transport=transport, timeout=PATIENCE_S) as http:
        client = RawHttp(http, url, era)
        if era == "legacy":
            await client.open_session()
        yield client


class RawSse:
    """A client of `/sse`; its response carries the answers to all that it posts."""

    def __init__(self, http: httpx2.AsyncClient, url: str, response: httpx2.Response) -> None:
        self.url = url
        """Where to post, once the session is open."""
        self._http = http
        self._lines = response.aiter_lines()

    async def open_session(self, era: Era) -> None:
        """Learn where to post, and begin."""
        async for line in self._lines:
            if line.startswith("data: "):
                self.url += line.removeprefix("data: ")
                break
        if era == "legacy":
            await self.post(initialize())
            await self.receive()
            await self.post(INITIALIZED)

    async def post(self, message: Message) -> None:
        """Send a message."""
        response = await self._http.post(self.url, json=message)
        assert response.status_code == 202

    async def receive(self) -> Message:
        """The next message."""
        async for line in self._lines:
            if line.startswith("data: {"):
                return json.loads(line.removeprefix("data: "))
        raise EOFError("the stream ended")


@asynccontextmanager
async def raw_sse(url: str, era: Era, *socket_options: tuple[int, int, int]) -> AsyncGenerator[RawSse]:
    """A client of `/sse` that is ready for its first call; leaving closes its stream."""
    transport = httpx2.AsyncHTTPTransport(verify=False, socket_options=socket_options)
    async with (
        httpx2.AsyncClient(transport=transport, timeout=PATIENCE_S) as http,
        http.stream("GET", f"{url}/sse") as response,
    ):
        client = RawSse(http, url, response)
        await client.open_session(era)
        yield client


async def events(response: httpx2.Response) -> AsyncIterator[Message]:
    """The JSON-RPC messages of an SSE response, or the one of a plain response."""
    if response.headers["Content-Type"].startswith("application/json"):
        yield json.loads(await response.aread())
        return
    async for line in response.aiter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


async def last_message(response: httpx2.Response) -> Message:
    """The last JSON-RPC message of a response."""
    message: Message | None = None
    with anyio.fail_after(PATIENCE_S):
        async for each in events(response):
            message = each
    assert message is not None, "the response was empty"
    return message
