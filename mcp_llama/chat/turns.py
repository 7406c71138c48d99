"""Turns: messages and tools as the mappings that Hugging Face's chat templates expect."""

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, cast

from mcp_llama.api import Message, Tool, ToolCall
from mcp_llama.chat.traits import TemplateTraits
from mcp_llama.errors import RequestError, shown

_NO_PARAMETERS: Final[Mapping[str, object]] = {"type": "object", "properties": {}}
_SHORT_ID: Final = re.compile(r"[a-zA-Z0-9]{9}")


def turns(messages: Sequence[Message], traits: TemplateTraits) -> list[dict[str, object]]:
    """The messages for a template with these traits.

    Raises:
        RequestError: the arguments of a call are not the JSON text of an object.
    """
    # Clients number the calls of each message anew, so an id means the last call before it.
    names: dict[str | None, str] = {}
    written: list[dict[str, object]] = []
    for message in messages:
        names.update((call.id, call.name) for call in message.tool_calls)
        written.append(_turn(message, message.name or names.get(message.tool_call_id), traits))
    return written


def functions(tools: Sequence[Tool]) -> list[dict[str, object]]:
    """The tools for a template."""
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def _function(tool: Tool) -> dict[str, object]:
    # Some templates walk the properties without asking whether there are any.
    missing = {key: value for key, value in _NO_PARAMETERS.items() if key not in tool.parameters}
    parameters = {**tool.parameters, **missing}
    return {"name": tool.name, "description": tool.description, "parameters": parameters}


def _turn(message: Message, name: str | None, traits: TemplateTraits) -> dict[str, object]:
    turn: dict[str, object] = {"role": message.role, "content": message.content}
    if traits.content_parts:
        turn["content"] = [{"type": "text", "text": message.content}]
    if message.reasoning:
        turn["reasoning_content"] = message.reasoning
        # gpt-oss, which knows only `thinking`, refuses it beside both text and calls.
        if not (message.content and message.tool_calls):
            turn["thinking"] = message.reasoning
    if message.tool_calls:
        turn["tool_calls"] = [_call(call, traits) for call in message.tool_calls]
    if message.role == "tool":
        answered = {"tool_call_id": _id(message.tool_call_id, traits), "name": name}
        turn.update((key, value) for key, value in answered.items() if value is not None)
    return turn


def _call(call: ToolCall, traits: TemplateTraits) -> dict[str, object]:
    arguments = _object(call)
    function = {"name": call.name, "arguments": call.arguments if traits.arguments == "text" else arguments}
    return {"id": _id(call.id, traits), "type": "function", "function": function}


def _object(call: ToolCall) -> dict[str, object]:
    try:
        arguments: object = json.loads(call.arguments)
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise RequestError(
            f"The arguments of a call of tool {shown(call.name)} are {shown(call.arguments)}. "
            "Send the JSON text of an object."
        )
    return cast("dict[str, object]", arguments)


def _id(call_id: str | None, traits: TemplateTraits) -> str | None:
    if call_id is None or not traits.short_ids or _SHORT_ID.fullmatch(call_id):
        return call_id
    return sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:9]
