"""Options of the entry for an MCP client."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mcp_llama.command_line import POSITIONAL, flag_of
from mcp_llama.errors import ConfigError
from mcp_llama.option_values import Absolute
from mcp_llama.settings.server import StdioSettings


def _url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+\S*", value):
        raise PydanticCustomError("url", "It must begin with http:// or https:// and name a host")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value):
        raise PydanticCustomError("name", "It may have up to 64 letters, digits, dashes and underscores")
    return value


class ClientSettings(StdioSettings):
    """Print the entry that adds mcp-llama to an MCP client, or write it into the client's own file.

    Without a client, the known ones are listed. Every option of `mcp-llama stdio` may be given and goes into the entry.
    """

    client: str = Field(
        "", description="claude-desktop, cursor, …; without one, all are listed", json_schema_extra=POSITIONAL
    )
    name: Annotated[str, AfterValidator(_name)] = Field("mcp-llama", description="name of the entry")
    url: Annotated[str, AfterValidator(_url)] | None = Field(
        None, description="connect to a server that runs, http://127.0.0.1:8080/mcp say, instead of starting one"
    )
    file: Annotated[Path | None, Absolute] = Field(
        None, description="file of a project, a profile or the like; default: the client's own of this user"
    )
    write: bool = Field(
        False, description="merge the entry into the file; a copy of the file as it was stays beside it"
    )

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        own = set(ClientSettings.model_fields) - set(StdioSettings.model_fields)
        if not self.client and (idle := sorted(given.keys() - {"config", "log_level"})):
            raise ConfigError(f"{flag_of(idle[0])} needs a client: mcp-llama config CLIENT.")
        # Those of the environment and of a file are for other commands too.
        if self.url is not None and (idle := sorted(given.keys() - own - {"config", "log_level"})):
            raise ConfigError(
                f"{flag_of(idle[0])} is for a server that the client starts, and --url names one that runs."
            )
