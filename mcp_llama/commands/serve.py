"""The command `serve`."""

import asyncio
import json
import logging

from mcp_llama import __version__, event_loop
from mcp_llama.assembly import server_backend
from mcp_llama.backends.local import LocalBackend
from mcp_llama.clients.server import launch
from mcp_llama.clients.shapes import plain
from mcp_llama.errors import LoadStoppedError, McpLlamaError
from mcp_llama.models.files import ModelFile, find_model
from mcp_llama.server.app import SSE_PATH, build_app
from mcp_llama.server.client_watch import MCP_PATH
from mcp_llama.server.factory import build_server
from mcp_llama.server.http import bind, drop_stalled, serve_http
from mcp_llama.server.security import AppSecurity
from mcp_llama.settings.server import ServeSettings
from mcp_llama.terminal import show_loading

logger = logging.getLogger(__name__)


def run_serve(settings: ServeSettings) -> int:
    """Serve until a signal; returns the exit status."""
    file = find_model(settings.model)
    backend = server_backend(settings, file)
    mcp = build_server(backend, settings.server_limits())
    security = AppSecurity(allowed_hosts=settings.allowed_hosts, allowed_origins=settings.allowed_origins)
    listener = bind(settings.host, settings.port)
    drop_stalled(listener, settings.stall_timeout)
    app = build_app(mcp, backend, settings.server_limits(), security)
    host, port = listener.getsockname()[:2]
    base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def serve() -> None:
        loading: list[asyncio.Task[None]] = []

        def announce() -> None:
            print(_welcome(base, file, settings), flush=True)
            loading.append(asyncio.create_task(_announce_ready(backend)))

        await serve_http(app, backend, mcp, listener, announce)

    event_loop.run(serve())
    return 0


async def _announce_ready(backend: LocalBackend) -> None:
    try:
        await show_loading(backend)
    except LoadStoppedError as error:
        logger.info("%s", error)
        return
    except McpLlamaError as error:
        # The server stays up: it tells every caller the same, and /health says why.
        logger.error("%s", error)
        return
    card = backend.status().card
    # It may have left already for one that a request named.
    if card is not None:
        logger.info("%s is ready: %d slots of %d tokens", card.name, card.n_slots, card.n_ctx)


def _welcome(base: str, file: ModelFile, settings: ServeSettings) -> str:
    entry = {"mcpServers": {"mcp-llama": plain("mcp-llama", launch(settings, file.path))}}
    return (
        f"mcp-llama {__version__} serves {file.name} ({file.reason}).\n\n"
        f"  Playground       {base}/\n"
        f"  Streamable HTTP  {base}{MCP_PATH}\n"
        f"  SSE (older)      {base}{SSE_PATH}\n"
        f"  OpenAI API       {base}/v1\n"
        f"  Documentation    {base}/docs\n\n"
        "Claude Desktop, Cursor and others start their own server with this entry, which mcp-llama config writes:\n\n"
        f"{json.dumps(entry, indent=2)}\n\n"
        "Ctrl-C ends the server.\n"
    )
