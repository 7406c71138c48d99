"""Failures: every exception of the plain HTTP routes as a response."""

from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mcp_llama.errors import McpLlamaError
from mcp_llama.server.client_watch import ClientGoneError
from mcp_llama.server.errors import body_of, error_body, headers_of, internal_error_body, status_of
from mcp_llama.server.validation import explain, param_of

_CLIENT_GONE = 499
_PLACES = ("body", "query", "path", "header")
_TAGGED = ("response_format",)
"""Fields whose type is told by a tag in them, which pydantic puts behind their name."""


def add_failures(app: FastAPI) -> None:
    """Make an app answer with error bodies."""
    app.add_exception_handler(McpLlamaError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientGoneError, _gone)
    app.add_exception_handler(Exception, _defect)


async def _known(_: Request, error: Exception) -> Response:
    known = cast(McpLlamaError, error)
    return JSONResponse(body_of(known), status_of(known), headers=headers_of(known))


async def _invalid(_: Request, error: Exception) -> Response:
    problems = [_without_place(problem) for problem in cast(RequestValidationError, error).errors()]
    param = param_of(problems[0])
    return JSONResponse(error_body(explain(problems), kind="invalid_request_error", param=param), 400)


def _without_place(problem: dict[str, Any]) -> dict[str, Any]:
    """The problem as its sender sees it: below the body or the query."""
    if problem["type"] == "json_invalid":
        return {**problem, "loc": (), "msg": f"not valid JSON, {problem['ctx']['error']}"}
    if isinstance(problem["input"], bytes):
        # FastAPI leaves a body as it is when its header does not say JSON.
        return {**problem, "loc": (), "msg": "the body must be JSON, with the header Content-Type: application/json"}
    where = problem["loc"]
    below = where[1:] if where and where[0] in _PLACES else where
    inner = below[2:] if below[:1] and below[0] in _TAGGED else below[1:]
    return {**problem, "loc": (*below[:1], *inner)}


async def _http(request: Request, error: Exception) -> Response:
    known = cast(HTTPException, error)
    text = known.detail
    if known.status_code == 404:
        text = f"There is no {request.url.path} here. See /docs for what there is."
    elif known.status_code == 400:
        text = _unread(known.__cause__) or text
    return JSONResponse(error_body(text, kind="invalid_request_error"), known.status_code, headers=known.headers)


def _unread(cause: BaseException | None) -> str | None:
    """Why Python could not make anything of a body, None if that is not what failed."""
    match cause:
        case UnicodeDecodeError():
            return "The body is not UTF-8. Encode it so."
        case RecursionError():
            return "The body is nested too deep. Make it flatter."
        case ValueError():
            return "The body has a number of too many digits. Shorten it."
        case _:
            return None


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=_CLIENT_GONE)


async def _defect(_request: Request, _error: Exception) -> Response:
    return JSONResponse(internal_error_body(), 500)
