"""What an entry points a client at: a command that starts this server, or the URL of one that runs."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_llama.command_line import as_flags
from mcp_llama.errors import ConfigError
from mcp_llama.settings.server import ServerSettings, StdioSettings

_PROGRAM = "mcp-llama"
_LEAST_PATIENCE_S = 600
_LOADING_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A command that starts a server on stdin and stdout; `patience_s` is how long a call may take."""

    command: str
    args: tuple[str, ...]
    patience_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server that runs already; `patience_s` is how long a call may take."""

    url: str
    patience_s: int = _LEAST_PATIENCE_S


def launch(settings: ServerSettings, model: Path, program: Sequence[str] | None = None) -> Launch:
    """The command that serves `model` with the options that were given, in whatever folder and environment.

    Raises:
        ConfigError: a path cannot be written in UTF-8, as every client's file is.
    """
    given = sorted(settings.model_fields_set & set(StdioSettings.model_fields) - {"config"} | {"model"})
    flags = as_flags(settings.model_copy(update={"model": str(model)}), given)
    command, *args = [*(program or this_program()), "stdio", *flags]
    for word in (command, *args):
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"{word!r} is not UTF-8, and no client could read it. Rename it.") from error
    patience_s = max(_LEAST_PATIENCE_S, math.ceil(settings.max_time_s) + _LOADING_S)
    return Launch(command=command, args=tuple(args), patience_s=patience_s)


def this_program() -> list[str]:
    """How this program is started from any folder, by absolute paths."""
    script = Path(sys.argv[0])
    # The launcher of a Windows installation leaves out the suffix of its own name.
    for path in (script, script.with_name(f"{script.name}.exe")):
        if path.stem == _PROGRAM and path.is_file():
            return [str(path.resolve())]
    # Without -P, Python would import from the folder that the client happens to be in.
    return [sys.executable, "-P", "-m", "mcp_llama"]
