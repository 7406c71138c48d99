"""What a request may say about the form of its text."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from typing_extensions import TypeAliasType

from mcp_llama.api import OutputFormat
from mcp_llama.errors import RequestError
from mcp_llama.server.validation import contradiction
from mcp_llama.server.wire import Wire

_FORMATS = ("response_format", "json_schema", "regex", "grammar")
_LARK = re.compile(r"^\s*(%llguidance\b|start\s*:)", re.MULTILINE)


class FormatIn(Wire):
    """The formats by their own names; at most one of them."""

    json_schema: dict[str, Any] | bool | None = Field(None, description="The text is JSON that fits this schema.")
    regex: str | None = Field(None, description="The text matches this regular expression (Rust's syntax) as a whole.")
    grammar: str | None = Field(None, description="The text follows this grammar: GBNF, or Lark as llguidance has it.")

    @property
    def formats(self) -> list[str]:
        """The names of those that are given."""
        return [name for name in _FORMATS if getattr(self, name, None) is not None]

    @model_validator(mode="after")
    def _check_formats(self) -> Self:
        if len(self.formats) > 1:
            raise contradiction(self.formats[1], f"{' and '.join(self.formats)} cannot go together; give one of them")
        return self


class TextFormatIn(Wire):
    """Any text."""

    type: Literal["text"]


class JsonObjectFormatIn(Wire):
    """Any JSON object; with `schema`, llama.cpp's way to give one."""

    type: Literal["json_object"]
    schema_: dict[str, Any] | bool | None = Field(None, alias="schema")


class JsonSchemaIn(Wire):
    """A named JSON schema."""

    name: str = "response"
    description: str | None = None
    schema_: dict[str, Any] | bool | None = Field(None, alias="schema")
    strict: bool | None = Field(None, description="Means nothing: a schema is always kept to the letter.")


class JsonSchemaFormatIn(Wire):
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchemaIn


ResponseFormat = TypeAliasType(
    "ResponseFormat",
    Annotated[TextFormatIn | JsonObjectFormatIn | JsonSchemaFormatIn, Field(discriminator="type")],
)


def named_format(
    json_schema: dict[str, Any] | bool | None, regex: str | None, grammar: str | None
) -> OutputFormat | None:
    """The one format that was given.

    Raises:
        RequestError: there are several.
    """
    given = {"json_schema": json_schema, "regex": regex, "grammar": grammar}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise RequestError(f"{' and '.join(names)} cannot go together. Give one of them.")
    if json_schema is not None:
        return OutputFormat("json_schema", json_schema)
    if regex is not None:
        return OutputFormat("regex", regex)
    if grammar is not None:
        return OutputFormat("lark" if _LARK.search(grammar) else "gbnf", grammar)
    return None


def response_format(form: TextFormatIn | JsonObjectFormatIn | JsonSchemaFormatIn | None) -> OutputFormat | None:
    """OpenAI's `response_format`."""
    match form:
        case JsonObjectFormatIn():
            return OutputFormat("json_object") if form.schema_ is None else OutputFormat("json_schema", form.schema_)
        case JsonSchemaFormatIn():
            return OutputFormat("json_schema", {} if form.json_schema.schema_ is None else form.json_schema.schema_)
        case _:
            return None
