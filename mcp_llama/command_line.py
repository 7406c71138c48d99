"""From the flags of a command to the values of its settings, as strings."""

import argparse
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NoReturn, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mcp_llama.errors import ConfigError, UnknownNameError

POSITIONAL: dict[str, Any] = {"positional": True}
"""The `json_schema_extra` of an option that is given without a flag."""


_KINDS = {"int": "N", "float": "X", "Path": "FILE", "ByteSize": "SIZE", "Lora": "FILE[=SCALE]"}


def parse_flags(settings_cls: type[BaseModel], command: str, arguments: Sequence[str]) -> dict[str, Any]:
    """What the arguments say, by option: a string, a list of strings, or a table of strings.

    Raises:
        ConfigError: a flag does not exist, or a value is missing or too many.
    """
    parser = _Parser(
        prog=f"mcp-llama {command}", description=settings_cls.__doc__, argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )  # fmt: skip
    for name, field in settings_cls.model_fields.items():
        _add(parser, name, field)
    given, rest = parser.parse_known_args(arguments)
    for word in rest:
        if word.startswith("-"):
            raise ConfigError(str(UnknownNameError("flag", word.split("=")[0], parser.flags())))
        raise ConfigError(f"Unexpected argument {word!r}. Put a text of several words in quotes.")
    values = vars(given)
    for name, value in values.items():
        if get_origin(settings_cls.model_fields[name].annotation) is dict:
            values[name] = dict(_pair(name, item) for item in cast(list[str], value))
    return values


def flag_of(name: str) -> str:
    """The flag of an option; the underscore behind a name that Python or pydantic needs is no part of it."""
    return f"--{name.rstrip('_').replace('_', '-')}"


def as_flags(settings: BaseModel, names: Iterable[str]) -> list[str]:
    """The flags that give options the values that they have."""
    words: list[str] = []
    for name in names:
        value = getattr(settings, name)
        if isinstance(value, bool):
            words += [flag_of(name)] if value else []
            continue
        if isinstance(value, dict):
            items = [f"{key}={item}" for key, item in cast(dict[str, object], value).items()]
        else:
            items = cast(list[object], value) if isinstance(value, list) else [value]
        words += [word for item in items for word in (flag_of(name), str(item))]
    return words


class _Parser(argparse.ArgumentParser):
    """An argparse parser that raises where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[0].upper()}{message[1:]}.")

    def flags(self) -> list[str]:
        """All flags that exist."""
        return [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]


def _add(parser: _Parser, name: str, field: FieldInfo) -> None:
    description = field.description or ""
    if field.json_schema_extra == POSITIONAL:
        if field.is_required():
            parser.add_argument(name, metavar=name.upper(), help=description)
        else:
            parser.add_argument(name, metavar=name.upper(), nargs="?", help=description)
        return
    if field.annotation is bool:
        parser.add_argument(flag_of(name), dest=name, action="store_const", const="true", help=description)
        return
    kind = get_origin(field.annotation)
    parser.add_argument(
        flag_of(name),
        dest=name,
        action="append" if kind in (list, dict) else "store",
        metavar=metavar(name, field),
        help=f"{description}{_default(field)}",
    )


def metavar(name: str, field: FieldInfo) -> str:
    """What stands for the value of an option in a text about it."""
    if get_origin(field.annotation) is dict:
        return "NAME=VALUE"
    return "DIR" if name.endswith("_dir") else _metavar(field.annotation)


def _default(field: FieldInfo) -> str:
    if field.default in (None, [], {}):
        return ""
    listed = isinstance(field.default, list)
    default = ",".join(str(item) for item in cast(list[object], field.default)) if listed else field.default
    return f" (default: {default})"


def _metavar(annotation: Any) -> str:
    while get_origin(annotation) in (Annotated, Union, types.UnionType, list):
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type):
        return _KINDS.get(annotation.__name__, "TEXT")
    choices = [choice for choice in get_args(annotation) if isinstance(choice, str)]
    return "|".join(choices) if choices else "TEXT"


def _pair(name: str, item: str) -> tuple[str, str]:
    key, equals, value = item.partition("=")
    if not equals:
        raise ConfigError(f"--{name} {item} has no value. Write it as --{name} {item}=VALUE.")
    return key, value
