"""What tools and prompts of the suite ask the client, and what it answers."""

from typing import Any

from mcp.server.mcpserver import Context
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
)

ROOTS = ListRootsRequest()


Field = str | dict[str, Any]
"""A type of JSON, or a schema."""


def form(message: str, **fields: Field) -> ElicitRequest:
    properties = {name: {"type": field} if isinstance(field, str) else field for name, field in fields.items()}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(words: str, max_tokens: int = 100) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=words))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=max_tokens))


def asked(state: str | None = None, **requests: InputRequest) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests, request_state=state)


def answer(context: Context, name: str) -> dict[str, Any] | None:
    """The form that the client filled in, or None if it did not."""
    found = (context.input_responses or {}).get(name)
    return found.content if isinstance(found, ElicitResult) and found.action == "accept" else None


def sampled(context: Context, name: str) -> str | None:
    """The text that the client's model wrote, or None."""
    found = (context.input_responses or {}).get(name)
    if not isinstance(found, CreateMessageResult) or not isinstance(found.content, TextContent):
        return None
    return found.content.text
