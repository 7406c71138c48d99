"""The MCP server with all its tools and resources, whatever transport it speaks."""

from mcp.server.caching import CacheHint

from mcp_llama import __version__
from mcp_llama.backends.backend import Backend
from mcp_llama.server.embed_tool import EmbedTool
from mcp_llama.server.info_tools import InfoTools
from mcp_llama.server.mcp import LlamaServer
from mcp_llama.server.resources import add_resources
from mcp_llama.server.settings import ServerLimits
from mcp_llama.server.tools import TextTools

_INSTRUCTIONS = (
    "A language model that runs on this machine: private, free, and slower than you. "
    "Give it self-contained work such as drafts, summaries, extraction or rewriting. "
    "Tokens arrive as progress notifications; the result holds the whole text."
)
_LISTS_NEVER_CHANGE = CacheHint(ttl_ms=3_600_000, scope="public")


def build_server(backend: Backend, limits: ServerLimits) -> LlamaServer:
    """The server, ready to be put on a transport."""
    server = LlamaServer(
        tools=[
            *TextTools(backend, limits).tools(),
            *EmbedTool(backend, limits).tools(),
            *InfoTools(backend, limits).tools(),
        ],
        name="mcp-llama",
        title="Local llama.cpp model",
        version=__version__,
        instructions=_INSTRUCTIONS,
        subscriptions=False,
        cache_hints={"tools/list": _LISTS_NEVER_CHANGE, "resources/templates/list": _LISTS_NEVER_CHANGE},
    )
    add_resources(server, backend)
    return server
