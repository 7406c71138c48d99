"""The APIs that coding agents ask their models by, as far as a script needs them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

Body = dict[str, Any]
Event = tuple[str, Body]
"""The name of a server-sent event, empty for none, and its data."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool that the model makes."""

    tool: str
    arguments: Body


class Dialect(Protocol):
    """What a request says, and how an answer is streamed."""

    def tools(self, body: Body) -> list[str]:
        """The names of the tools that the model may call."""
        ...

    def results(self, body: Body) -> list[str]:
        """What the tools have answered so far."""
        ...

    def answer(self, body: Body, answer: Call | str) -> Iterator[Event]:
        """A call or a text, as a stream."""
        ...


class Messages:
    """Anthropic's Messages."""

    def tools(self, body: Body) -> list[str]:
        return [tool["name"] for tool in body.get("tools", [])]

    def results(self, body: Body) -> list[str]:
        contents = [message["content"] for message in body["messages"] if not isinstance(message["content"], str)]
        return [_text(block["content"]) for blocks in contents for block in blocks if block["type"] == "tool_result"]

    def answer(self, body: Body, answer: Call | str) -> Iterator[Event]:
        if isinstance(answer, Call):
            block: Body = {"type": "tool_use", "id": f"call{len(self.results(body))}", "name": answer.tool, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(answer.arguments)}
        else:
            block, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": answer}
        usage = {"input_tokens": 1, "output_tokens": 1}
        message: Body = {"id": "m", "role": "assistant", "model": body["model"], "content": [], "usage": usage}
        end = {"stop_reason": "tool_use" if isinstance(answer, Call) else "end_turn", "stop_sequence": None}
        events: list[Body] = [
            {"type": "message_start", "message": {"type": "message", "stop_reason": None, **message}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": end, "usage": usage},
            {"type": "message_stop"},
        ]
        yield from ((event["type"], event) for event in events)


class Responses:
    """OpenAI's Responses; a tool in a namespace is called by both names."""

    def tools(self, body: Body) -> list[str]:
        return [
            f"{space['name']}__{tool['name']}"
            for space in body.get("tools", [])
            if space["type"] == "namespace"
            for tool in space["tools"]
        ]

    def results(self, body: Body) -> list[str]:
        return [_text(item["output"]) for item in body["input"] if item["type"] == "function_call_output"]

    def answer(self, body: Body, answer: Call | str) -> Iterator[Event]:
        if isinstance(answer, Call):
            namespace, name = answer.tool.rsplit("__", 1)
            call_id = f"call{len(self.results(body))}"
            names = {"namespace": namespace, "name": name, "call_id": call_id, "id": f"f{call_id}"}
            item: Body = {"type": "function_call", **names, "arguments": json.dumps(answer.arguments)}
        else:
            content = [{"type": "output_text", "text": answer}]
            item = {"type": "message", "role": "assistant", "id": "m", "content": content}
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        events: list[Body] = [
            {"type": "response.created", "response": {"id": "r"}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": "r", "output": [item], "usage": usage}},
        ]
        yield from ((event["type"], event) for event in events)


class Completions:
    """OpenAI's chat completions."""

    def tools(self, body: Body) -> list[str]:
        return [tool["function"]["name"] for tool in body.get("tools", [])]

    def results(self, body: Body) -> list[str]:
        return [_text(message["content"]) for message in body["messages"] if message["role"] == "tool"]

    def answer(self, body: Body, answer: Call | str) -> Iterator[Event]:
        if isinstance(answer, Call):
            function = {"name": answer.tool, "arguments": json.dumps(answer.arguments)}
            call_id = f"call{len(self.results(body))}"
            delta: Body = {"tool_calls": [{"index": 0, "id": call_id, "type": "function", "function": function}]}
        else:
            delta = {"content": answer}
        end = "tool_calls" if isinstance(answer, Call) else "stop"
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": body["model"]}
        yield "", {**chunk, "choices": [{"index": 0, "delta": {"role": "assistant", **delta}}]}
        yield "", {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": end}]}


DIALECTS: dict[str, Dialect] = {
    "/messages": Messages(),
    "/responses": Responses(),
    "/chat/completions": Completions(),
}
"""By the end of the path."""


def _text(content: str | list[Body]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
