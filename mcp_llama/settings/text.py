"""Options of the commands that answer on the terminal."""

from pathlib import Path
from typing import Any

from pydantic import Field

from mcp_llama.command_line import POSITIONAL
from mcp_llama.option_values import LogLevel
from mcp_llama.settings.model import ModelSettings, ReasoningSettings


class TextSettings(ModelSettings):
    """Options of the commands that answer on the terminal."""

    max_tokens: int | None = Field(
        None, ge=1, description="tokens to generate at most; default: 512, or what the context has left"
    )
    temperature: float | None = Field(None, ge=0, description="0 for the most likely token; default: the model's own")
    top_p: float | None = Field(None, ge=0, le=1, description="nucleus sampling; default: the model's own")
    seed: int | None = Field(None, ge=0, description="makes the answer repeatable; default: random")
    stop: list[str] = Field([], description="end before this string; may be repeated")
    sampling: dict[str, Any] = Field({}, description="other llama.cpp sampling options, as name=value")
    json_schema: Path | None = Field(None, description="file with a JSON schema that the answer must fit")
    log_level: LogLevel = Field("warning", description="what is logged to stderr")


class GenerateSettings(TextSettings):
    """Continue a text on the terminal."""

    prompt: str = Field(description="text to continue; - reads it from stdin", json_schema_extra=POSITIONAL)


class ChatSettings(TextSettings, ReasoningSettings):
    """Chat on the terminal."""

    message: str = Field(
        "", description="one question to answer; without it, a conversation", json_schema_extra=POSITIONAL
    )
    system: str = Field("", description="system message")
