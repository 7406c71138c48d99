"""`/tokenize`, `/detokenize` and `/apply-template`, as llama.cpp's own server has them."""

from collections.abc import Sequence
from typing import Any

import anyio.to_thread
from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from mcp_llama.api import ChatRequest
from mcp_llama.backends.backend import Backend
from mcp_llama.server.answers import json_response
from mcp_llama.server.chat_wire import MessageIn, Tools, tools_of
from mcp_llama.server.loading import held_model
from mcp_llama.server.openapi import FAILURES
from mcp_llama.server.wire import Token, Wire


class TokenizeIn(Wire):
    """The text to cut into tokens."""

    content: str
    add_special: bool = Field(False, description="Begin with the model's own leading tokens.")
    parse_special: bool = Field(True, description="Read the names of control tokens as those tokens.")
    with_pieces: bool = Field(False, description="Add the text of each token.")
    model: str | None = None


class PieceOut(BaseModel):
    """A token and its text, or its bytes where they are no whole characters."""

    id: int
    piece: str | list[int]


class TokensOut(BaseModel):
    """The tokens of a text."""

    tokens: list[int] | list[PieceOut]


class DetokenizeIn(Wire):
    """The tokens to join."""

    tokens: list[Token]
    model: str | None = None


class ContentOut(BaseModel):
    """The text of tokens; bytes that are no whole character show as U+FFFD."""

    content: str


class TemplateIn(Wire):
    """The messages to render."""

    messages: list[MessageIn] = Field(min_length=1)
    tools: Tools | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    model: str | None = None


class PromptOut(BaseModel):
    """The text that the model would continue."""

    prompt: str


class TokenRoutes:
    """The routes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def router(self) -> APIRouter:
        """All of them."""
        router = APIRouter(tags=["tokens"], responses=FAILURES)
        router.add_api_route("/tokenize", self.tokenize, methods=["POST"], response_model=TokensOut)
        router.add_api_route("/detokenize", self.detokenize, methods=["POST"], response_model=ContentOut)
        router.add_api_route("/apply-template", self.apply_template, methods=["POST"], response_model=PromptOut)
        return router

    async def tokenize(self, body: TokenizeIn) -> Response:
        """The tokens of a text."""
        async with held_model(self._backend, body.model) as model:
            tokens = await self._backend.tokenize(
                body.content, model, add_special=body.add_special, parse_special=body.parse_special
            )
            if not body.with_pieces:
                return await json_response({"tokens": tokens})
            pieces = await self._backend.pieces(tokens, model)
        return await json_response({"tokens": await anyio.to_thread.run_sync(_with_pieces, tokens, pieces)})

    async def detokenize(self, body: DetokenizeIn) -> Any:
        """The text of tokens."""
        async with held_model(self._backend, body.model) as model:
            pieces = await self._backend.pieces(body.tokens, model)
        return {"content": b"".join(pieces).decode("utf-8", "replace")}

    async def apply_template(self, body: TemplateIn) -> Any:
        """The text that a chat becomes through the model's chat template."""
        async with held_model(self._backend, body.model) as model:
            request = ChatRequest(
                messages=tuple(message.message() for message in body.messages),
                tools=tools_of(body.tools),
                template_options=body.chat_template_kwargs or {},
                model=model,
            )
            return {"prompt": await self._backend.apply_template(request)}


def _with_pieces(tokens: Sequence[int], pieces: Sequence[bytes]) -> list[dict[str, Any]]:
    return [_piece(token, piece) for token, piece in zip(tokens, pieces, strict=True)]


def _piece(token: int, piece: bytes) -> dict[str, Any]:
    try:
        return {"id": token, "piece": piece.decode()}
    except UnicodeDecodeError:
        return {"id": token, "piece": list(piece)}
