"""Calls that ask for an answer of a form, or with tools, that cannot be had, and what each is told."""

from tests.server.bad_calls import LONG, BadCall
from tests.server.chats import CLOCK, PLACE, TOOLS, USER, WEATHER, Json

SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
_CALLS: Json = {"role": "assistant", "tool_calls": [{"id": "1", "name": "weather", "arguments": {}}]}
_TYPES = "must be one or several of array, boolean, integer, null, number, object, string"


def _generate(told: str, **arguments: object) -> BadCall:
    return "generate", {"prompt": "x", **arguments}, told


def _chat(told: str, **arguments: object) -> BadCall:
    return "chat", {"messages": USER, **arguments}, told


BAD_FORMATS: dict[str, BadCall] = {
    "two formats": _generate(
        "json_schema and regex cannot go together. Give one of them.", json_schema=SCHEMA, regex="a+"
    ),
    "three formats": _chat(
        "json_schema and regex and grammar cannot go together. Give one of them.",
        json_schema=SCHEMA,
        regex="a+",
        grammar='root ::= "a"',
    ),
    "schema of an unknown type": _generate(
        f"The JSON schema cannot be enforced at '/properties/a', keyword 'type': {_TYPES}.",
        json_schema={"type": "object", "properties": {"a": {"type": "strin"}}},
    ),
    "schema with a keyword that cannot be kept": _chat(
        "The JSON schema cannot be enforced at its root, keyword 'not': this keyword is not supported.",
        json_schema={"not": {"type": "string"}},
    ),
    "schema that allows nothing": _generate(
        "The JSON schema cannot be enforced at its root: false allows no value.", json_schema=False
    ),
    "schema that is a list": _generate("json_schema is [1]: it must be a JSON schema.", json_schema=[1]),
    "schema that is a text": _generate("json_schema is 'text': it must be a JSON schema.", json_schema="text"),
    "regex that is a number": _generate("regex is 5: input should be a valid string.", regex=5),
    "too many alternatives": _generate("logprobs is 21: input should be less than or equal to 20.", logprobs=21),
    "no answers": _generate("n is 0: input should be greater than or equal to 1.", n=0),
    "too many answers": _chat("n is 17: input should be less than or equal to 16.", n=17),
    "a negative budget": _chat(
        "reasoning_budget is -1: input should be greater than or equal to 0.", reasoning_budget=-1
    ),
    "beginning that does not fit the schema": _chat(
        "The assistant message that is to be continued does not fit the format or the tools. "
        "Remove it, or send it as it was generated.",
        messages=[*USER, {"role": "assistant", "content": "nope"}],
        json_schema=SCHEMA,
    ),
}

BAD_TOOLS: dict[str, BadCall] = {
    "required call without tools": _chat(
        "tool_choice is required, but there are no tools. Give some.", tool_choice="required"
    ),
    "unknown choice": _chat(
        "tool_choice is 'sometimes': it must be 'none', 'auto', 'required', or an object with the name of a function.",
        tools=TOOLS,
        tool_choice="sometimes",
    ),
    "choice of a tool without name": _chat(
        "tool_choice is {'nme': 'a'}: it must be 'none', 'auto', 'required', or an object with the name of a function.",
        tools=TOOLS,
        tool_choice={"nme": "a"},
    ),
    "choice of an unknown tool": _chat(
        "Unknown tool in tool_choice 'wether'. Did you mean 'weather'?", tools=TOOLS, tool_choice={"name": "wether"}
    ),
    "two tools of one name": _chat(
        "Two tools are called 'weather'. Give each one a name of its own.", tools=[WEATHER, CLOCK, WEATHER]
    ),
    "tool name with a space": _chat(
        "Tool name 'the clock' is not allowed. Take 1 to 128 letters, digits, _ - . : or /.",
        tools=[{**CLOCK, "name": "the clock"}],
    ),
    "tool of another type": _chat(
        "tools.0.type is 'web_search': input should be 'function'. tools.0.function is missing.",
        tools=[{"type": "web_search"}],
    ),
    "tool with an unknown key": _chat("tools.0.function.color is unknown.", tools=[{**CLOCK, "color": "red"}]),
    "tool whose schema is none": _chat(
        "The schema of tool 'clock' cannot be enforced at its root, keyword 'type': "
        "arguments are an object, but the type is another.",
        tools=[{"name": "clock", "parameters": {"type": "objekt"}}],
    ),
    "tool in MCP's shape whose schema is none": _chat(
        f"The schema of tool 'clock' cannot be enforced at '/properties/city', keyword 'type': {_TYPES}.",
        tools=[{"name": "clock", "inputSchema": {**PLACE, "properties": {"city": {"type": 5}}}}],
    ),
    "unknown variable of the template": _chat(
        "Unknown chat template option 'enable_thinkin'. There are none.",
        chat_template_kwargs={"enable_thinkin": False},
    ),
    "calls that are not answered": _chat(
        "The last message calls tools: answer them with tool messages first.", messages=[*USER, _CALLS]
    ),
    "calls of a user": _chat(
        "messages.0: tool_calls are only for messages of the assistant.", messages=[{**_CALLS, "role": "user"}]
    ),
    "call without id": _chat(
        "messages.0.tool_calls.0.id is missing.",
        messages=[{"role": "assistant", "tool_calls": [{"name": "weather"}]}, *USER],
    ),
    "reasoning of a user": _chat(
        "messages.0: reasoning_content is only for messages of the assistant.",
        messages=[{**USER[0], "reasoning_content": "Hm."}],
    ),
    "result without content": _chat(
        "messages.2: the content of a message of the role tool is missing.",
        messages=[*USER, _CALLS, {"role": "tool", "tool_call_id": "1"}],
    ),
}

LONG_ANSWERS: dict[str, Json] = {
    "type in a schema": {"json_schema": {"type": LONG}},
    "name in a schema": {"json_schema": {"properties": {LONG: {"type": "strin"}}}},
    "keyword": {"json_schema": {LONG: 1}},
    "schema": {"json_schema": LONG},
    "regex": {"regex": "(" + LONG},
    "lark": {"grammar": f"start: ({LONG}"},
    "grammar": {"grammar": f"root ::= ({LONG}"},
    "tool": {"tools": [LONG]},
    "name of a tool": {"tools": [{"name": LONG}]},
    "key of a tool": {"tools": [{**CLOCK, LONG: 1}]},
    "schema of a tool": {"tools": [{**CLOCK, "parameters": {"type": LONG}}]},
    "choice": {"tools": TOOLS, "tool_choice": LONG},
    "choice of a name": {"tools": TOOLS, "tool_choice": {"name": LONG}},
    "variable of the template": {"chat_template_kwargs": {LONG: 1}},
    "parallel_tool_calls": {"parallel_tool_calls": LONG},
}
