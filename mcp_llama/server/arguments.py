"""The arguments of the tools, as an agent should read them: in few tokens."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from mcp_llama.errors import RequestError
from mcp_llama.server.chat_wire import MessageIn, ToolChoiceIn, Tools

_SAMPLING = (
    "More llama.cpp options: top_k, min_p, typical_p, top_n_sigma, xtc_*, dry_*, mirostat*, dynatemp_*, "
    "repeat_penalty, repeat_last_n, presence_penalty, frequency_penalty, logit_bias, ignore_eos."
)
_MAX_CHOICES = 16
_OBJECT = {"type": "object"}


def _text(value: Any) -> Any:
    return "" if value is None else value


def _schema(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError as error:
        raise PydanticCustomError("json_schema", "it must be a JSON schema") from error


# With a bound, pydantic refuses text with lone surrogates, which a prompt could only hold as something else.
Text = Annotated[str, Field(min_length=0)]
MaxTokens = Annotated[int | None, Field(ge=1), WithJsonSchema({"type": "integer"})]
MaxTimeS = Annotated[float, Field(gt=0, le=86_400, description="End after this time with the text so far.")]
Number = Annotated[float | None, WithJsonSchema({"type": "number"})]
Seed = Annotated[int | None, WithJsonSchema({"type": "integer"})]
Stop = Annotated[list[Text], Field(description="End before any of these strings.", max_length=16)]
Model = Annotated[str, Field(description="A name from models.")]
Sampling = Annotated[dict[str, Any], WithJsonSchema({**_OBJECT, "description": _SAMPLING})]
SamplingAsAbove = Annotated[dict[str, Any], WithJsonSchema({**_OBJECT, "description": "As in generate."})]
JsonSchema = Annotated[
    dict[str, Any] | bool | None,
    WrapValidator(_schema),
    WithJsonSchema({**_OBJECT, "description": "Forces JSON that fits it."}),
]
# Of type str alone: of all else the SDK reads JSON text, and `[0]` or `null` would be no text any more.
Regex = Annotated[str, BeforeValidator(_text)]
Grammar = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": "string", "description": "GBNF or Lark."})]
Logprobs = Annotated[
    int | None,
    Field(ge=0, le=20),
    WithJsonSchema({"type": "integer", "description": "Alternatives a token."}),
]
N = Annotated[int, Field(ge=1, le=_MAX_CHOICES, description="Number of answers.")]
Messages = Annotated[
    list[MessageIn],
    WithJsonSchema(
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "role": {"enum": ["system", "user", "assistant", "tool"]},
                    "content": {"type": "string"},
                    "tool_calls": {"type": "array"},
                    "tool_call_id": {"type": "string"},
                },
                "required": ["role"],
            },
        }
    ),
]
MessagesAsAbove = Annotated[
    list[MessageIn], WithJsonSchema({"type": "array", "items": _OBJECT, "description": "As in chat."})
]
ToolList = Annotated[
    Tools, WithJsonSchema({"type": "array", "items": _OBJECT, "description": "name, description, parameters each."})
]
Choice = Annotated[ToolChoiceIn, WithJsonSchema({"description": "auto, none, required or {name}."})]
Flag = Annotated[bool | None, WithJsonSchema({"type": "boolean"})]
ReasoningBudget = Annotated[int | None, Field(ge=0), WithJsonSchema({"type": "integer", "description": "In tokens."})]
TemplateOptions = Annotated[dict[str, Any], WithJsonSchema({**_OBJECT, "description": "E.g. enable_thinking."})]


def merged(sampling: Mapping[str, Any], **flat: float | None) -> dict[str, object]:
    """The sampling options of both places.

    Raises:
        RequestError: one of them is given twice.
    """
    given = {name: value for name, value in flat.items() if value is not None}
    for name in given:
        if name in sampling:
            raise RequestError(f"{name} is given twice, as an argument and in sampling. Remove one.")
    return {**sampling, **given}
