"""The command `stdio`. A client may ask its model before this server answers, so little is imported."""

from mcp_llama import event_loop
from mcp_llama.assembly import server_backend
from mcp_llama.models.files import find_model
from mcp_llama.server.factory import build_server
from mcp_llama.server.stdio import claim_stdio, serve_stdio
from mcp_llama.settings.server import StdioSettings


def run_stdio(settings: StdioSettings) -> int:
    """Serve until stdin ends; returns the exit status."""
    backend = server_backend(settings, find_model(settings.model))
    server = build_server(backend, settings.server_limits())
    event_loop.run(serve_stdio(server, backend, claim_stdio()))
    return 0
