"""Options of the commands about the models on this machine."""

from pydantic import Field

from mcp_llama.command_line import POSITIONAL
from mcp_llama.settings.command import CommandSettings
from mcp_llama.settings.model import ModelSettings


class ModelsListSettings(CommandSettings):
    """List the models on this machine, whichever program has put them there. The default has a star.

    Elsewhere than on a terminal, a line has the name, the size in bytes, the quantisation, the architecture, the store,
    and whether it is the default, with tabs between them.
    """

    json_: bool = Field(False, description="write JSON instead of a table")


class ModelsInfoSettings(ModelSettings):
    """Tell what a model can do, and how much memory it needs with these options."""

    model: str | None = Field(
        None, description="name or file of the model; default: the default model", json_schema_extra=POSITIONAL
    )
    json_: bool = Field(False, description="write JSON instead of a table")


class ModelsDefaultSettings(CommandSettings):
    """Show the default model, or set it in the user's TOML file."""

    name: str = Field("", description="name or file of the new default", json_schema_extra=POSITIONAL)


class ModelsRemoveSettings(CommandSettings):
    """Delete a model from the models folder."""

    name: str = Field(description="name of the model", json_schema_extra=POSITIONAL)
    yes: bool = Field(False, description="delete without asking")
