"""How a model is loaded, as flags: for the processes of ours that load it themselves."""

from collections.abc import Collection, Sequence
from pathlib import Path

from mcp_llama.command_line import as_flags
from mcp_llama.config import load_settings
from mcp_llama.engine.llama import ModelOptions
from mcp_llama.settings.model import ModelSettings

_NOT_FOR_LOADING = {"model", "log_level"}


def loading_flags(settings: ModelSettings, besides: Collection[str] = ()) -> list[str]:
    """The options of loading that were given, wherever; not the model, and not those `besides`."""
    given = settings.model_fields_set - _NOT_FOR_LOADING - set(besides)
    return as_flags(settings, [name for name in ModelSettings.model_fields if name in given])


def model_of(flags: Sequence[str]) -> tuple[Path, ModelOptions]:
    """The file and the options that such flags and `--model PATH` give.

    Raises:
        ConfigError: a flag or a value is wrong.
    """
    settings = load_settings(ModelSettings, "worker", flags)
    return Path(settings.model or ""), settings.model_options()
