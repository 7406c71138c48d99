"""The tools that cost next to nothing: models and count_tokens."""

from typing import Annotated

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult

from mcp_llama.api import ChatRequest
from mcp_llama.backends.backend import Backend
from mcp_llama.errors import EngineError, RequestError
from mcp_llama.server.arguments import MessagesAsAbove, Model, Text
from mcp_llama.server.client_watch import while_client_listens
from mcp_llama.server.heartbeat import beating_until_held
from mcp_llama.server.progress import Progress
from mcp_llama.server.results import ModelsOut, TokenCountOut, model_out, structured_result
from mcp_llama.server.settings import ServerLimits
from mcp_llama.server.tool import make_tool


class InfoTools:
    """`models` and `count_tokens`."""

    def __init__(self, backend: Backend, limits: ServerLimits) -> None:
        self._backend = backend
        self._limits = limits

    def tools(self) -> list[Tool]:
        """Both tools."""
        return [
            make_tool(self.models, "List the models and how far they are loaded."),
            make_tool(
                self.count_tokens,
                "Count the tokens of a text, or of messages with their template, before spending them.",
            ),
        ]

    async def models(self) -> Annotated[CallToolResult, ModelsOut]:
        """The tool `models`."""
        statuses = await self._backend.models()
        text = "\n".join(f"{status.name}: {model_out(status).state}" for status in statuses)
        return structured_result(text, ModelsOut(models=[model_out(status) for status in statuses]))

    async def count_tokens(
        self,
        context: Context,
        text: Text = "",
        messages: MessagesAsAbove = [],  # noqa: B006
        model: Model = "",
    ) -> Annotated[CallToolResult, TokenCountOut]:
        """The tool `count_tokens`.

        Raises:
            RequestError: neither or both of text and messages are given.
        """
        if bool(text) == bool(messages):
            raise RequestError("Give either text or messages, and not both.")
        chat = ChatRequest(messages=tuple(message.message() for message in messages), model=model or None)
        loaded = self._backend.status(model or None).state == "ready"
        progress = Progress(context, self._limits, "queue" if loaded else "load")
        async with while_client_listens(context, progress, self._limits.stall_timeout):
            await progress.begin()
            async with beating_until_held(
                self._backend,
                model or None,
                progress,
                interval_s=self._limits.heartbeat_s,
                patience_s=self._limits.max_time_s,
            ) as name:
                status = self._backend.status(name)
                if status.card is None:
                    raise EngineError(str(status.error))
                tokens = await self._backend.count_tokens(text or chat, name)
        out = TokenCountOut(tokens=tokens, n_ctx=status.card.n_ctx)
        return structured_result(f"{tokens} tokens; the context holds {status.card.n_ctx}.", out)
