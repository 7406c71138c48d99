"""What every command can be told."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from mcp_llama.option_values import LogLevel

ENV_PREFIX = "MCP_LLAMA_"


class CommandSettings(BaseSettings):
    """Options of every command."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid")

    config: Path | None = Field(None, description="TOML file with options; default: config.toml in the user's folder")
    log_level: LogLevel = Field("info", description="what is logged to stderr")
