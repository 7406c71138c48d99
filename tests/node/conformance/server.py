"""`mcp-llama` with the conformance suite's tools, resources and prompts; everything else is as shipped."""

from unittest.mock import patch

from mcp_llama import cli
from mcp_llama.backends.backend import Backend
from mcp_llama.commands import serve
from mcp_llama.server.factory import build_server
from mcp_llama.server.mcp import LlamaServer
from mcp_llama.server.settings import ServerLimits
from tests.node.conformance.inputs import add_inputs
from tests.node.conformance.prompts import add_prompts
from tests.node.conformance.resources import add_resources
from tests.node.conformance.talks import add_talks
from tests.node.conformance.tools import add_tools


def _build(backend: Backend, limits: ServerLimits) -> LlamaServer:
    server = build_server(backend, limits)
    for add in (add_tools, add_resources, add_prompts, add_inputs, add_talks):
        add(server)
    return server


if __name__ == "__main__":
    with patch.object(serve, "build_server", _build):
        cli.main()
