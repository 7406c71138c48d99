"""From exceptions to HTTP: status, headers, and a body in the shape that OpenAI's clients read."""

import logging
import math
from typing import Any

from pydantic import BaseModel

from mcp_llama.errors import (
    BusyError,
    ContextLengthError,
    McpLlamaError,
    ModelLoadError,
    RequestError,
    UnavailableError,
    UnknownModelError,
    UnknownNameError,
)

logger = logging.getLogger(__name__)


class ErrorOut(BaseModel):
    """What went wrong. `param` names the field to change, `code` is for programs."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None
    n_prompt_tokens: int | None = None
    n_ctx: int | None = None


class ErrorsOut(BaseModel):
    """The body of every response that is not a success."""

    error: ErrorOut


def error_body(message: str, *, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """The body as JSON."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def status_of(error: McpLlamaError) -> int:
    """The HTTP status of an error."""
    match error:
        case UnknownModelError():
            return 404
        case RequestError():
            return 400
        case UnavailableError() | ModelLoadError():
            return 503
        case BusyError():
            return 429
        case _:
            return 500


def headers_of(error: McpLlamaError) -> dict[str, str]:
    """The headers that go with an error."""
    return {"Retry-After": str(math.ceil(error.retry_after_s))} if isinstance(error, BusyError) else {}


def body_of(error: McpLlamaError) -> dict[str, Any]:
    """The JSON body of an error."""
    message = str(error)
    match error:
        case ContextLengthError():
            cause = "max_tokens" if error.prompt_tokens < error.limit else None
            body = error_body(message, kind="invalid_request_error", param=cause, code="context_length_exceeded")
            body["error"] |= {"n_prompt_tokens": error.prompt_tokens, "n_ctx": error.limit}
            return body
        case UnknownModelError():
            return error_body(message, kind="invalid_request_error", param="model", code="model_not_found")
        case UnknownNameError():
            return error_body(message, kind="invalid_request_error", param=error.param or error.name)
        case RequestError():
            return error_body(message, kind="invalid_request_error", param=error.param)
        case UnavailableError() | ModelLoadError():
            return error_body(message, kind="unavailable_error")
        case BusyError():
            return error_body(message, kind="rate_limit_error", code="rate_limit_exceeded")
        case _:
            return error_body(message, kind="server_error")


def internal_error_body() -> dict[str, Any]:
    """The body for a defect, whose details stay in the log."""
    return error_body("The server failed. Its log has the details.", kind="server_error")
