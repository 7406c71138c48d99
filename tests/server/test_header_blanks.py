"""Headers as they may stand on the wire, where clients in Python would not write them so."""

import json
from urllib.parse import urlsplit

import anyio
import pytest

from tests.gate import PATIENCE_S
from tests.server.raw import MODERN_VERSION, request
from tests.server.scene import Scene
from tests.server.serving import staged

BODY = json.dumps(request("modern", 1, "tools/list", {}))


async def status_of(url: str, method_header: str) -> str:
    """The status of a list of the tools, with this after the name of the header that repeats the method."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\nContent-Length: {len(BODY)}\r\n"
        f"Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        f"MCP-Protocol-Version: {MODERN_VERSION}\r\nMcp-Method:{method_header}\r\n\r\n"
    )
    with anyio.fail_after(PATIENCE_S):
        async with await anyio.connect_tcp(parts.hostname, parts.port) as stream:
            await stream.send((head + BODY).encode())
            return (await stream.receive()).split()[1].decode()


@pytest.mark.parametrize(
    ("header", "status"),
    [("tools/list", "200"), (" \ttools/list", "200"), ("tools/list\t ", "200"), ("tools /list", "400")],
)
async def test_blanks_around_the_value_of_a_header_are_no_part_of_it(header: str, status: str) -> None:
    async with staged(Scene()) as (_, url):
        assert await status_of(url, header) == status
