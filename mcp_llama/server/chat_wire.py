"""What a request may say in a chat: messages, tools, the choice of a tool."""

import json
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mcp_llama.api import Message, NamedTool, Role, Tool, ToolCall, ToolChoice
from mcp_llama.server.validation import contradiction
from mcp_llama.server.wire import EmptyList, Wire

_MCP_ONLY = ("title", "annotations", "outputSchema", "icons", "execution", "_meta")
"""What an MCP server says of its tools that means nothing to a model."""


def _nested(value: Any) -> Any:
    """`{"name": …}` as OpenAI's `{"type": "function", "function": {"name": …}}`, which says the same."""
    if not isinstance(value, dict) or "function" in value or "name" not in value:
        return cast(Any, value)
    flat = {key: part for key, part in cast(dict[str, Any], value).items() if key not in _MCP_ONLY}
    outer = {key: flat[key] for key in ("id", "index", "type") if key in flat}
    return {"type": "function", **outer, "function": {key: flat[key] for key in flat if key not in outer}}


def _json_text(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def _one_sentence(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(value)
    except ValidationError as error:
        sentence = "it must be 'none', 'auto', 'required', or an object with the name of a function"
        raise PydanticCustomError("tool_choice", sentence) from error


class TextPart(Wire):
    """A piece of a message."""

    type: Literal["text"]
    text: str
    prompt_cache_breakpoint: dict[str, Any] | None = Field(None, description="Accepted, and not used.")


class FunctionCallIn(Wire):
    """Which tool was called, and with what: the JSON text of an object, or the object itself."""

    name: str
    arguments: Annotated[str, BeforeValidator(_json_text, json_schema_input_type=str | dict[str, Any])] = "{}"
    parsed_arguments: Any = Field(None, description="Accepted: what a client made of `arguments`.")


class ToolCallIn(Wire):
    """A call as an answer has it."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCallIn
    index: int | None = None


class MessageIn(Wire):
    """One turn of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    reasoning_content: str | None = Field(None, validation_alias=AliasChoices("reasoning_content", "reasoning"))
    tool_calls: list[Annotated[ToolCallIn, BeforeValidator(_nested)]] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    parsed: Any = Field(None, description="Accepted: what a client made of `content`.")
    # Clients send these back with the answers they got; what means something cannot be honoured.
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: EmptyList | None = None

    @model_validator(mode="after")
    def _check_role(self) -> Self:
        if self.tool_calls and self.role != "assistant":
            raise contradiction("tool_calls", "tool_calls are only for messages of the assistant")
        for field in ("tool_call_id", "name"):
            if self.role != "tool" and getattr(self, field) is not None:
                raise contradiction(field, "name and tool_call_id are only for messages of the role tool")
        if self.reasoning_content and self.role != "assistant":
            raise contradiction("reasoning_content", "reasoning_content is only for messages of the assistant")
        if self.content is None and not self.tool_calls and not self.reasoning_content:
            raise contradiction("content", f"the content of a message of the role {self.role} is missing")
        return self

    def message(self) -> Message:
        """The message as a template takes it."""
        parts = self.content or ""
        # OpenAI's newer name for the same role, which the templates of open models do not know.
        role: Role = "system" if self.role == "developer" else self.role
        return Message(
            role=role,
            content=parts if isinstance(parts, str) else "".join(part.text for part in parts),
            reasoning=self.reasoning_content or "",
            tool_calls=tuple(
                ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments or "{}")
                for call in self.tool_calls or ()
            ),
            tool_call_id=self.tool_call_id,
            name=self.name,
        )


class FunctionIn(Wire):
    """A function that the model may call; `parameters` is the JSON schema of its arguments."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = Field(None, validation_alias=AliasChoices("parameters", "inputSchema"))
    strict: bool | None = Field(None, description="Refuse a schema that cannot be kept to the letter.")


class ToolIn(Wire):
    """A tool as OpenAI has it."""

    type: Literal["function"]
    function: FunctionIn

    def tool(self) -> Tool:
        """The tool as the backend takes it."""
        function = self.function
        return Tool(
            name=function.name,
            description=function.description or "",
            parameters=function.parameters or {},
            strict=bool(function.strict),
        )


class NameIn(Wire):
    """The name of a function."""

    name: str


class NamedToolIn(Wire):
    """The choice of one tool."""

    type: Literal["function"] = "function"
    function: NameIn


Tools = list[Annotated[ToolIn, BeforeValidator(_nested)]]
ToolChoiceIn = Annotated[
    Literal["none", "auto", "required"] | Annotated[NamedToolIn, BeforeValidator(_nested)], WrapValidator(_one_sentence)
]


def tools_of(tools: Tools | None) -> tuple[Tool, ...]:
    """The tools as the backend takes them."""
    return tuple(tool.tool() for tool in tools or ())


def choice_of(choice: ToolChoiceIn | None) -> ToolChoice:
    """The choice as the backend takes it; without one, the model chooses."""
    if choice is None:
        return "auto"
    return NamedTool(choice.function.name) if isinstance(choice, NamedToolIn) else choice
