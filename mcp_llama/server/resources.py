"""The model cards, as MCP resources."""

import json
from dataclasses import asdict

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp_types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from mcp_llama.backends.backend import Backend

CARD_URI = "llama://models/{+name}"
"""The plus lets the slash in `owner/repo:quantisation` stand for itself; encoded, it says the same."""


def add_resources(server: MCPServer[None], backend: Backend) -> None:
    """Register the card template, and completion of model names for it."""

    @server.resource(
        CARD_URI,
        name="model-card",
        title="Model card",
        description="Architecture, size, quantisation, context, license and chat template of a model.",
        mime_type="application/json",
    )
    async def card(name: str) -> str:
        known = {status.name: status for status in await backend.models()}
        if name not in known:
            raise ResourceNotFoundError(f"No model {name!r}. Available: {', '.join(known)}.")
        return json.dumps(asdict(known[name]), ensure_ascii=False, indent=2)

    @server.completion()
    async def complete(
        reference: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        if not isinstance(reference, ResourceTemplateReference) or reference.uri != CARD_URI:
            return None
        names = [status.name for status in await backend.models() if status.name.startswith(argument.value)]
        return Completion(values=names[:100], total=len(names), has_more=len(names) > 100)

    assert card
    assert complete
