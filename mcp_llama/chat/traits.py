"""TemplateTraits: what a chat template can express, found by rendering small chats and looking for their words."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from mcp_llama.api import Message, Tool, ToolCall
from mcp_llama.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateTraits:
    """What a chat template shows to the model, and in which form it wants that.

    `arguments` is the form that a call's arguments need: a mapping or its JSON text; None if calls are not shown.
    `parallel_calls` says whether all calls of one message are shown. `content_parts` is set where only a list of parts
    is shown as content, `empty_tools` where no tools must be an empty list, `short_ids` where the id of a call must be
    nine letters and digits.
    """

    system: bool = False
    tools: bool = False
    arguments: Literal["object", "text"] | None = None
    results: bool = False
    parallel_calls: bool = False
    content_parts: bool = False
    empty_tools: bool = False
    short_ids: bool = False


Render = Callable[[Sequence[Message], Sequence[Tool], TemplateTraits], str]
"""Renders a chat in the form that the traits ask for; raises RequestError where the template refuses."""

_USER: Final = Message(role="user", content="zqx_question")
_SYSTEM: Final = Message(role="system", content="zqx_system")
_TOOL: Final = Tool(
    name="zqx_tool",
    description="zqx_description",
    parameters={
        "type": "object",
        "properties": {"zqx_parameter": {"type": "string", "description": "zqx_meaning"}},
        "required": ["zqx_parameter"],
    },
)
_CALL: Final = ToolCall(id="call_zqx_1", name="zqx_call", arguments='{"zqx_key": "zqx_value"}')
_OTHER_CALL: Final = ToolCall(id="call_zqx_2", name="zqx_again", arguments='{"zqx_key": "zqx_value"}')
_RESULT: Final = Message(role="tool", content="zqx_result", tool_call_id=_CALL.id, name=_CALL.name)
_OTHER_RESULT: Final = Message(role="tool", content="zqx_outcome", tool_call_id=_OTHER_CALL.id, name=_OTHER_CALL.name)

_BASES: Final = tuple(
    TemplateTraits(content_parts=content_parts, empty_tools=empty_tools)
    for content_parts in (False, True)
    for empty_tools in (False, True)
)


def probe(render: Render) -> TemplateTraits:
    """The traits of the template that `render` renders; those of a template that shows nothing, if it never does."""
    return _Probe(render).traits()


class _Probe:
    def __init__(self, render: Render) -> None:
        self._render = render

    def traits(self) -> TemplateTraits:
        base = next((base for base in _BASES if self._shows([_USER], base)), TemplateTraits())
        base = replace(base, system=self._shows([_SYSTEM, _USER], base), tools=self._shows_tools(base))
        base = self._with_calls(base)
        return replace(base, results=self._shows_results(base), parallel_calls=self._shows_both_calls(base))

    def _with_calls(self, base: TemplateTraits) -> TemplateTraits:
        forms = (
            replace(base, short_ids=short_ids, arguments=arguments)
            for short_ids in (False, True)
            for arguments in ("object", "text")
        )
        # There are templates that drop the calls of a message that has text, too.
        contents = ("", "zqx_text")
        return next((form for form in forms if all(self._shows_call(content, form) for content in contents)), base)

    def _shows_tools(self, given: TemplateTraits) -> bool:
        text = self._text([_USER], [_TOOL], given)
        return all(word in text for word in (_TOOL.name, "zqx_parameter"))

    def _shows_call(self, content: str, given: TemplateTraits) -> bool:
        call = Message(role="assistant", content=content, tool_calls=(_CALL,))
        text = self._text([_USER, call, _RESULT], self._tools(given), given)
        if _CALL.name not in text:
            return False
        if given.arguments == "text":
            return re.search(r'"zqx_key"\s*:\s*"zqx_value"', text) is not None
        # Many formats are not JSON; only a mapping in Python's own notation was not meant to be one.
        return "zqx_key" in text and "zqx_value" in text and "'zqx_key'" not in text

    def _shows_results(self, given: TemplateTraits) -> bool:
        if given.arguments is None:
            return self._shows([_USER, Message(role="assistant", content="zqx_text"), _RESULT], given)
        return self._shows([_USER, Message(role="assistant", tool_calls=(_CALL,)), _RESULT], given)

    def _shows_both_calls(self, given: TemplateTraits) -> bool:
        calls = Message(role="assistant", tool_calls=(_CALL, _OTHER_CALL))
        text = self._text([_USER, calls, _RESULT, _OTHER_RESULT], self._tools(given), given)
        return given.arguments is not None and _CALL.name in text and _OTHER_CALL.name in text

    def _shows(self, messages: Sequence[Message], given: TemplateTraits) -> bool:
        text = self._text(messages, (), given)
        return all(message.content in text for message in messages)

    def _tools(self, given: TemplateTraits) -> Sequence[Tool]:
        return [_TOOL] if given.tools else ()

    def _text(self, messages: Sequence[Message], tools: Sequence[Tool], given: TemplateTraits) -> str:
        try:
            return self._render(messages, tools, given)
        except RequestError:
            return ""
