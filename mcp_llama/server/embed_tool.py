"""The tool `embed`: how near texts are to each other in meaning, or their vectors."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import anyio.to_thread
import numpy as np
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from mcp_llama.api import EmbedRequest
from mcp_llama.backends.backend import Backend
from mcp_llama.engine.embedding import Embedding
from mcp_llama.engine.model import Vectors
from mcp_llama.errors import ContextLengthError, RequestError
from mcp_llama.server.arguments import Text
from mcp_llama.server.client_watch import while_client_listens
from mcp_llama.server.heartbeat import beating, beating_until_held
from mcp_llama.server.progress import Progress
from mcp_llama.server.results import structured_result
from mcp_llama.server.settings import ServerLimits
from mcp_llama.server.tool import make_tool

MAX_TEXTS = 256
"""All vectors are written in one go, while every other stream of the server waits."""
_SCORE_DECIMALS = 4
_VECTOR_DECIMALS = 5
_SHOWN_CHARACTERS = 60

Row = list[float]
Texts = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    Field(min_length=1, max_length=MAX_TEXTS),
    WithJsonSchema({"type": "array", "items": {"type": "string"}, "maxItems": MAX_TEXTS}),
]


def _drop_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _keep_required(schema: dict[str, Any]) -> None:
    del schema["properties"], schema["description"]


Flag = Annotated[bool, Field(json_schema_extra=_drop_default)]


class EmbedUsageOut(BaseModel):
    """Token counts of one call."""

    prompt_tokens: int


class EmbedOut(BaseModel):
    """The structured result. `scores` has a number for each text, or a row of them if pairwise."""

    # The names say enough: properties would cost the agent tokens, and the client a look at each number.
    model_config = ConfigDict(json_schema_extra=_keep_required)

    scores: Row | list[Row] | None = None
    vectors: list[Row] | None = None
    model: str
    usage: EmbedUsageOut


class EmbedTool:
    """`embed`: the vectors are compared here, because an agent would pay for each of their numbers."""

    def __init__(self, backend: Backend, limits: ServerLimits) -> None:
        self._backend = backend
        self._limits = limits

    def tools(self) -> list[Tool]:
        """The one tool."""
        return [
            make_tool(self.embed, "Score texts by cosine similarity to a query, or pairwise. Neither: long vectors.")
        ]

    async def embed(
        self, context: Context, texts: Texts, query: Text = "", pairwise: Flag = False, model: str = ""
    ) -> Annotated[CallToolResult, EmbedOut]:
        """The tool `embed`.

        Raises:
            RequestError: query and pairwise are both given, or a text is too long.
        """
        if query and pairwise:
            raise RequestError("Give either query or pairwise, and not both.")
        named = {f"texts.{index}": text for index, text in enumerate(texts)}
        usage, vectors, name = await self._run(context, {"query": query, **named} if query else named, model or None)
        if query:
            scores = _rounded(vectors[1:] @ vectors[0], _SCORE_DECIMALS)
            return structured_result(_ranking(scores, texts), EmbedOut(scores=scores, model=name, usage=usage))
        if pairwise:
            rows = _rounded(vectors @ vectors.T, _SCORE_DECIMALS)
            out = EmbedOut(scores=rows, model=name, usage=usage)
        else:
            rows = _rounded(vectors, _VECTOR_DECIMALS)
            out = EmbedOut(vectors=rows, model=name, usage=usage)
        return structured_result(await anyio.to_thread.run_sync(_lines, rows), out)

    async def _run(
        self, context: Context, named: Mapping[str, str], model: str | None
    ) -> tuple[EmbedUsageOut, Vectors, str]:
        """How many tokens the texts have, their vectors as the rows of a matrix, and the model's name."""
        loaded = self._backend.status(model).state == "ready"
        progress = Progress(context, self._limits, "queue" if loaded else "load")
        async with while_client_listens(context, progress, self._limits.stall_timeout):
            await progress.begin()
            async with beating_until_held(
                self._backend,
                model,
                progress,
                interval_s=self._limits.heartbeat_s,
                patience_s=self._limits.max_time_s,
            ) as name:
                embedding = await self._prepare(named, name)
            progress.enter_queue(embedding.tokens)
            async with embedding:
                vectors = await beating(embedding.result(), progress.beat, self._limits.heartbeat_s)
        return EmbedUsageOut(prompt_tokens=embedding.tokens), np.stack(vectors), name

    async def _prepare(self, named: Mapping[str, str], model: str) -> Embedding:
        """The handle.

        Raises:
            RequestError: names the text that is too long.
        """
        try:
            return await self._backend.embed(EmbedRequest(texts=tuple(named.values()), model=model))
        except ContextLengthError as error:
            for name, text in named.items():
                tokens = await self._backend.count_tokens(text, model)
                if tokens > error.limit:
                    problem = f"{name} has {tokens:,} tokens, but the context holds {error.limit:,}. Shorten it."
                    raise RequestError(problem) from None
            raise


def _rounded(numbers: Vectors, decimals: int) -> Any:
    # As a float32, 0.1 is written as 0.10000000149011612.
    return np.round(numbers.astype(np.float64), decimals).tolist()


def _ranking(scores: Row, texts: list[str]) -> str:
    """The nearest text first, each with its index and its beginning."""
    order = sorted(range(len(texts)), key=lambda index: -scores[index])
    return "\n".join(f"{scores[index]:.{_SCORE_DECIMALS}f} [{index}] {_beginning(texts[index])}" for index in order)


def _beginning(text: str) -> str:
    shown = " ".join(text[:_SHOWN_CHARACTERS].split())
    return f"{shown}…" if len(text) > _SHOWN_CHARACTERS else shown


def _lines(rows: list[Row]) -> str:
    """The rows as JSON, one a line, for agents that get nothing but the text."""
    return "[" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "]"
