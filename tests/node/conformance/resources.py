"""The suite's resources."""

import json

from mcp_llama.server.mcp import LlamaServer
from tests.node.conformance.blocks import png


def add_resources(server: LlamaServer) -> None:
    server.resource("test://static-text", mime_type="text/plain", description="A text.")(_text)
    server.resource("test://static-binary", mime_type="image/png", description="A picture.")(_binary)
    server.resource("test://template/{id}/data", mime_type="application/json", description="Any number.")(_data)


def _text() -> str:
    return "This is the content of the static text resource."


def _binary() -> bytes:
    return png()


def _data(id: str) -> str:  # noqa: A002
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})
