"""Every field of the create methods of OpenAI's client: values that this server takes, and values that it refuses."""

from dataclasses import dataclass, field
from typing import Any


def _tool(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **function}}


def _json(schema: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "s", "schema": schema, **more}}


_TOOL = _tool()


@dataclass(frozen=True, slots=True)
class Field:
    """Values of a field. Null, which means that a field is not given, goes without saying.

    `beside` is what a request must have with them.
    """

    accepted: tuple[Any, ...] = ()
    refused: tuple[Any, ...] = ()
    beside: dict[str, Any] = field(default_factory=dict[str, Any])


_PENALTY = Field((-2, 0, 0.5, 2), ("high", 101))
_BOTH = {
    "model": Field(("fake",), (7,)),
    "frequency_penalty": _PENALTY,
    "presence_penalty": _PENALTY,
    "logit_bias": Field(({}, {"65": -100, "66": 2.5}), ({"A": 1}, {"65": 5000}, [1], {"400": 1})),
    "max_tokens": Field((1, 500, -1), (0, -2, "many", 2.5)),
    "n": Field((1, 2, 128), (0, 129, "two")),
    "seed": Field((0, 1, -1, 2**32, 2**63 - 1), (-2, 2**63, "x")),
    "stop": Field(("x", ["x", "y"], []), ("", [""], 7, [7], ["x"] * 17)),
    "stream": Field((False, True), ("maybe", 7)),
    "stream_options": Field(
        ({}, {"include_usage": True}, {"include_usage": False}, {"include_obfuscation": False}),
        ({"include_obfuscation": True}, {"include_cost": True}, True),
        {"stream": True},
    ),
    "temperature": Field((0, 0.7, 2), (-1, "hot", 101)),
    "top_p": Field((0, 0.5, 1), (-0.1, 1.1)),
    "user": Field(("ann",), (7,)),
}

COMPLETIONS: dict[str, Field] = _BOTH | {
    "prompt": Field(("x", ["x", "y"], [1, 2], [[1, 2], [3]]), (7, {}, None)),
    "best_of": Field((1,), (2, 0)),
    "echo": Field((False, True), ("maybe",)),
    "logprobs": Field((0, 5, 20), (-1, 21, "x")),
    "suffix": Field(("",), ("the end",)),
}

CHAT: dict[str, Field] = _BOTH | {
    "messages": Field(([{"role": "user", "content": "x"}],), ([], "x", None)),
    "audio": Field(refused=({"voice": "alloy", "format": "wav"},)),
    "function_call": Field(("none", "auto"), ({"name": "f"},)),
    "functions": Field(([],), ([{"name": "f"}],)),
    "logprobs": Field((False, True), ("maybe", 7)),
    "max_completion_tokens": Field((1, 500, -1), (0, "many")),
    "metadata": Field(({}, {"run": "1"}), ({"run": 1}, "x")),
    "modalities": Field((["text"],), (["text", "audio"], ["audio"])),
    "moderation": Field(refused=({"model": "m"},)),
    "parallel_tool_calls": Field((True, False), ("maybe",)),
    "prediction": Field(refused=({"type": "content", "content": "x"},)),
    "prompt_cache_key": Field(("k",), (7,)),
    "prompt_cache_options": Field(({"mode": "explicit"},), (7,)),
    "prompt_cache_retention": Field(("24h", "in_memory"), (7,)),
    "reasoning_effort": Field(("none",), ("low", "high")),
    "response_format": Field(
        (
            {"type": "text"},
            {"type": "json_object"},
            {"type": "json_object", "schema": {"const": 1}},
            _json({"const": 1}),
            _json(True, strict=True, description="d"),
            _json(strict=None),
        ),
        (
            {"type": "xml"},
            {"type": "grammar", "grammar": "root ::= x"},
            {"type": "json_schema"},
            {"type": "text", "schema": {}},
            _json([]),
            _json({"const": 1}, mood="good"),
            "json_object",
        ),
    ),
    "safety_identifier": Field(("s",), (7,)),
    "service_tier": Field(("auto", "default"), ("flex", "priority")),
    "store": Field((False,), (True,)),
    "tool_choice": Field(
        ("none", "auto", "required", _TOOL, {"name": "f"}),
        (
            "any",
            {"type": "function"},
            {"type": "function", "function": {"name": "g"}},
            {"type": "custom", "custom": {"name": "f"}},
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_TOOL]}},
        ),
        {"tools": [_TOOL]},
    ),
    "tools": Field(
        (
            [],
            [_TOOL],
            [_tool(description=None, parameters=None, strict=None)],
            [_tool(parameters={}, strict=True)],
            [_tool(parameters={"type": "object", "properties": {}, "required": []}, description="d", strict=False)],
            [{"name": "f", "description": "d", "inputSchema": {"type": "object"}, "annotations": {}}],
        ),
        (
            ["f"],
            [{"type": "custom", "custom": {"name": "f"}}],
            [{"type": "function"}],
            [_tool(mood="good")],
            [_tool(parameters=[])],
        ),
    ),
    "top_logprobs": Field((0,), (-1, 21)),
    "verbosity": Field(("medium",), ("low", "high")),
    "web_search_options": Field(refused=({},)),
}

EMBEDDINGS: dict[str, Field] = {
    "model": _BOTH["model"],
    "input": Field(("x", ["x", "y"], [1, 2], [[1, 2], [3]]), (7, {}, None)),
    "dimensions": Field((3,), (0, 2, "x")),
    "encoding_format": Field(("float", "base64"), ("int8",)),
    "user": _BOTH["user"],
}
