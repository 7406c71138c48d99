"""Hosts that know only stdio reach a running server through mcp-remote."""

import sys

from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.node.node import Node, marks
from tests.server.client import Era, connected
from tests.server.serving import every_era

pytestmark = marks


@every_era
async def test_progress_goes_through_the_bridge(era: Era, node: Node, url: str) -> None:
    bridge = StdioServerParameters(
        command="node",
        args=[str(node.program("mcp-remote")), f"{url}/mcp", "--transport", "http-only", "--silent"],
        env=node.environment,
    )
    async with connected(stdio_client(bridge, sys.__stderr__ or sys.stderr), era) as connection:
        call = await connection.call("generate", {"prompt": "Once upon a time", "max_tokens": 20})
    progress = [notification["progress"] for notification in call.notifications]
    assert progress == sorted(set(progress))
    assert call.messages == call.text
    assert sum("message" in notification for notification in call.notifications) > 1
