"""Chats with tools, and templates to render them."""

from pathlib import Path

from mcp_llama.api import Message, Tool, ToolCall
from mcp_llama.chat.template import ChatTemplate
from mcp_llama.engine.llama import LlamaModel, ModelOptions


def compiled(source: str) -> ChatTemplate:
    return ChatTemplate(source, bos_text="<s>", eos_text="</s>")


def embedded_template(path: Path) -> ChatTemplate:
    """The template in the embedded model."""
    model = LlamaModel(path, ModelOptions(n_ctx=64, n_slots=1, n_threads=1))
    try:
        assert model.chat_template is not None
        return ChatTemplate(model.chat_template, bos_text=model.bos_text, eos_text=model.eos_text)
    finally:
        model.close()


def tool(name: str = "add") -> Tool:
    number = {"type": "integer", "description": "The other one."}
    parameters = {"type": "object", "properties": {"number": number}, "required": ["number"]}
    return Tool(name=name, description="Adds.", parameters=parameters)


def add(number: str, *, call_id: str = "call_1", name: str = "add", arguments: str | None = None) -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=f'{{"number": {number}}}' if arguments is None else arguments)


def answered() -> list[Message]:
    """A question, a call and its result."""
    return [
        Message(role="user", content="seven and one"),
        Message(role="assistant", tool_calls=(add("7"),)),
        Message(role="tool", content="eight", tool_call_id="call_1"),
    ]
