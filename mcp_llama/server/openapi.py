"""What the OpenAPI document says of all routes alike."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from mcp_llama.server.errors import ErrorsOut

Responses = dict[int | str, dict[str, Any]]

GUARD_FAILURES: Responses = {
    403: {"model": ErrorsOut, "description": "The request comes from another site."},
    421: {"model": ErrorsOut, "description": "The Host header names another server."},
}
FAILURES: Responses = {
    **GUARD_FAILURES,
    400: {"model": ErrorsOut, "description": "The request is wrong; the message says what to change."},
    404: {"model": ErrorsOut, "description": "No such model."},
    413: {"model": ErrorsOut, "description": "The body is too large."},
    429: {"model": ErrorsOut, "description": "The queue is full; see Retry-After."},
    500: {"model": ErrorsOut, "description": "The server failed."},
    503: {"model": ErrorsOut, "description": "The model is loading or could not be loaded, or the server is stopping."},
}
_EVENTS = {"text/event-stream": {"schema": {"type": "string"}}}
EVENTS: Responses = {200: {"description": "Server-sent events.", "content": _EVENTS}}


def events_or(body: type[BaseModel]) -> Responses:
    """A body, or events where the request asks for a stream."""
    return {200: {"model": body, "description": "The whole answer, or server-sent events.", "content": _EVENTS}}


def document(app: FastAPI) -> dict[str, Any]:
    """The document, without the responses of FastAPI's own that this server never gives."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for operations in schema["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(name, None)
        app.openapi_schema = schema
    return app.openapi_schema
