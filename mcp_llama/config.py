"""Every option once: a flag, an environment variable MCP_LLAMA_*, a line in a TOML file; the first of them wins."""

import os
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from platformdirs import user_config_path
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from mcp_llama.command_line import parse_flags
from mcp_llama.errors import ConfigError, UnknownNameError
from mcp_llama.option_values import explain
from mcp_llama.settings.bench import BenchSettings
from mcp_llama.settings.clients import ClientSettings
from mcp_llama.settings.command import ENV_PREFIX, CommandSettings
from mcp_llama.settings.model import DoctorSettings
from mcp_llama.settings.models import (
    ModelsDefaultSettings,
    ModelsInfoSettings,
    ModelsListSettings,
    ModelsRemoveSettings,
)
from mcp_llama.settings.pull import PullSettings
from mcp_llama.settings.server import ServeSettings, StdioSettings
from mcp_llama.settings.text import ChatSettings, GenerateSettings

SETTINGS: dict[str, type[CommandSettings]] = {
    "serve": ServeSettings,
    "stdio": StdioSettings,
    "generate": GenerateSettings,
    "chat": ChatSettings,
    "models list": ModelsListSettings,
    "models info": ModelsInfoSettings,
    "models default": ModelsDefaultSettings,
    "models pull": PullSettings,
    "models rm": ModelsRemoveSettings,
    "config": ClientSettings,
    "doctor": DoctorSettings,
    "bench": BenchSettings,
}
_NOT_IN_FILES = (
    "prompt",
    "message",
    "repo",
    "config",
    "json_",
    "plot",
    "client",
    "name",
    "url",
    "file",
    "write",
    "yes",
)
# Hosts of MCP bundles hand this over, as it is, for a field of their form that was left blank.
_BLANK = re.compile(r"^(\$\{user_config\.[^}]*\})?$")

AnySettings = TypeVar("AnySettings", bound=CommandSettings)


def load_settings(settings_cls: type[AnySettings], command: str, arguments: Sequence[str]) -> AnySettings:
    """The settings of a command line; `--help` ends the process.

    Raises:
        ConfigError: a flag, a value, or a name in the environment or the TOML file is wrong.
    """
    _check_environment()
    flags = parse_flags(settings_cls, command, arguments)
    config = SettingsConfigDict(toml_file=_toml_path(flags.get("config")))
    bound = type(
        settings_cls.__name__, (_Sources, settings_cls), {"__module__": settings_cls.__module__, "model_config": config}
    )
    try:
        return cast(AnySettings, bound(**flags))
    except ValidationError as error:
        raise ConfigError(" ".join(explain(dict(problem)) for problem in error.errors(include_url=False))) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{config.get('toml_file')} is not valid TOML: {error}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{config.get('toml_file')} is not UTF-8 text. Save it as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{config.get('toml_file')} cannot be read: {error.strerror}.") from error


def user_file() -> Path:
    """The TOML file of this user, which need not exist."""
    return user_config_path("mcp-llama") / "config.toml"


class _Sources(BaseSettings):
    """Where the values of options come from."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, TOML file."""
        return init_settings, _EnvSource(settings_cls), _TomlSource(settings_cls)


class _EnvSource(EnvSettingsSource):
    """The environment; a blank variable leaves its option to the next source."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value, key, is_complex = super().get_field_value(field, field_name)
        return None if value is None or _BLANK.fullmatch(value) else value, key, is_complex

    def prepare_field_value(self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool) -> Any:
        try:
            return super().prepare_field_value(field_name, field, value, value_is_complex)
        except ValueError as error:
            name = f"{ENV_PREFIX}{field_name.upper()}"
            raise ConfigError(
                f"{name} is {value!r}, which is not JSON. Lists and tables in the environment are, "
                """such as '["a", "b"]'."""
            ) from error


class _TomlSource(TomlConfigSettingsSource):
    """The TOML file; options of other commands are left to them, unknown ones are refused."""

    def __call__(self) -> dict[str, Any]:
        data = super().__call__()
        for name in data:
            if name not in _known_options():
                raise ConfigError(str(UnknownNameError("option in the TOML file", name, _known_options())))
        return {name: value for name, value in data.items() if name in self.settings_cls.model_fields}


@cache
def _known_options() -> frozenset[str]:
    names = {name for settings_cls in SETTINGS.values() for name in settings_cls.model_fields}
    return frozenset(names.difference(_NOT_IN_FILES))


def _check_environment() -> None:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in {*_known_options(), "config"}}
    for name in os.environ:
        # On some systems, and for pydantic-settings on all, the case of a variable does not count.
        if name.upper().startswith(ENV_PREFIX) and name.upper() not in known:
            raise ConfigError(str(UnknownNameError("environment variable", name, known)))


def _toml_path(given: object) -> Path | None:
    """The file that a flag or the environment names, or else the user's own if there is one."""
    named = given or _BLANK.sub("", os.environ.get(f"{ENV_PREFIX}CONFIG", ""))
    if not named:
        path = user_file()
        return path if path.is_file() else None
    path = Path(str(named)).expanduser()
    if not path.is_file():
        raise ConfigError(f"No TOML file at {path}.")
    return path
