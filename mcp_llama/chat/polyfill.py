"""The polyfill: tools, calls and results as plain text, for a chat template that does not show them."""

import json
from collections.abc import Sequence
from dataclasses import replace

from mcp_llama.api import Message, Tool, ToolCall

_FORM = '{"tool_calls": [{"name": "...", "arguments": {...}}]}'
_HOW = f"To call tools, answer with nothing but a JSON object of exactly this form, one entry for each call:\n{_FORM}"
_MUST = "You must call at least one tool now. Do not answer in plain text."
_MAY = "If you need no tool, answer in plain text."


def describe_tools(
    messages: Sequence[Message], tools: Sequence[Tool], *, must_call: bool, system: bool
) -> list[Message]:
    """The messages with a description of the tools and of the form of a call.

    It ends the system message, which is added if there is none, or begins the first user message if not `system`.
    """
    described = list(messages)
    if not tools:
        return described
    text = _description(tools, must_call=must_call)
    role = "system" if system else "user"
    place = next((index for index, message in enumerate(messages) if message.role == role), None)
    if place is None:
        return [Message(role=role, content=text), *messages]
    before = messages[place].content
    described[place] = replace(messages[place], content=_joined(before, text) if system else _joined(text, before))
    return described


def plain_calls(messages: Sequence[Message], *, calls: bool, results: bool) -> list[Message]:
    """The messages, calls as text of the assistant unless `calls`, results as text of the user unless `results`.

    Users' messages that become neighbours by that become one.
    """
    names: dict[str | None, str] = {}
    plain: list[Message] = []
    follows_result = False
    for message in messages:
        names.update((call.id, call.name) for call in message.tool_calls)
        said = message if calls else _without_calls(message, names)
        is_result = said.role == "tool" and not results
        if is_result:
            said = _told(said, message.name or names.get(message.tool_call_id))
        if plain and said.role == plain[-1].role == "user" and (is_result or follows_result):
            plain[-1] = replace(plain[-1], content=_joined(plain[-1].content, said.content))
        else:
            plain.append(said)
        follows_result = is_result
    return plain


def single_calls(messages: Sequence[Message]) -> list[Message]:
    """The messages with at most one call each: several calls become as many messages, each before its own results."""
    single: list[Message] = []
    rest = list(messages)
    while rest:
        message = rest.pop(0)
        if len(message.tool_calls) < 2:
            single.append(message)
            continue
        for index, call in enumerate(message.tool_calls):
            begun = message if index == 0 else Message(role=message.role)
            single.append(replace(begun, tool_calls=(call,)))
            single += _taken_results(rest, call)
    return single


def _description(tools: Sequence[Tool], *, must_call: bool) -> str:
    listed = "\n".join(
        _json({"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)})
        for tool in tools
    )
    return f"You can call these tools:\n{listed}\n\n{_HOW}\n{_MUST if must_call else _MAY}"


def _without_calls(message: Message, names: dict[str | None, str]) -> Message:
    if message.tool_calls:
        return replace(message, content=_joined(message.content, _written(message.tool_calls)), tool_calls=())
    if message.role == "tool" and message.name is None:
        # The call that told the tool's name is gone.
        return replace(message, name=names.get(message.tool_call_id))
    return message


def _written(calls: Sequence[ToolCall]) -> str:
    # The arguments stay as the model wrote them, so that their tokens are found in the prefix cache.
    entries = (f'{{"name": {_json(call.name)}, "arguments": {call.arguments}}}' for call in calls)
    return f'{{"tool_calls": [{", ".join(entries)}]}}'


def _told(result: Message, name: str | None) -> Message:
    heading = f"Result of the tool {name}:" if name else "Result of the tool:"
    return Message(role="user", content=f"{heading}\n{result.content}")


def _taken_results(rest: list[Message], call: ToolCall) -> list[Message]:
    """The results of a call, taken out of those that `rest` begins with."""
    end = next((index for index, message in enumerate(rest) if message.role != "tool"), len(rest))
    found = [message for message in rest[:end] if message.tool_call_id == call.id]
    rest[:end] = [message for message in rest[:end] if message.tool_call_id != call.id]
    return found


def _joined(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
