"""The README's reference of options and tools, made of the settings and of the tools' schemas.

`python -m tests.reference` writes it anew.
"""

import re
from pathlib import Path
from typing import Any, cast

import anyio
from mcp_types import Tool
from pydantic.fields import FieldInfo

from mcp_llama.command_line import POSITIONAL, flag_of, metavar
from mcp_llama.config import SETTINGS, load_settings
from mcp_llama.server.factory import build_server
from mcp_llama.settings.command import CommandSettings
from mcp_llama.settings.server import ServeSettings
from tests.backends.one_model import backend_of
from tests.fake_model import FakeModel

README = Path(__file__).parent.parent / "README.md"
_BLOCK = "(<!-- {name} -->\n).*?(<!-- /{name} -->)"


def references() -> dict[str, str]:
    """The text of each block, by its name."""
    return {"options": _options(), "tools": _tools()}


def with_references(text: str) -> str:
    """A README with its blocks as they should be."""
    for name, block in references().items():
        pattern = re.compile(_BLOCK.format(name=name), re.DOTALL)
        assert len(pattern.findall(text)) == 1, f"the README has no place for {name}"
        text = pattern.sub(lambda match, block=block: f"{match[1]}{block}\n{match[2]}", text)
    return text


def _options() -> str:
    """A table of the server's options, then those that other commands have beside them."""
    known: set[str] = set()
    parts: list[str] = []
    for command, settings_cls in {"serve": ServeSettings, **SETTINGS}.items():
        own = {name: field for name, field in settings_cls.model_fields.items() if _is_new(name, field, known)}
        known |= set(settings_cls.model_fields)
        if own:
            title = "`serve` and `stdio`" if command == "serve" else f"`{_usage(command, settings_cls)}`"
            parts.append(_table(title, [_option_row(name, field) for name, field in own.items()]))
    return "\n\n".join(parts)


def _is_new(name: str, field: FieldInfo, known: set[str]) -> bool:
    return name not in known and field.json_schema_extra != POSITIONAL


def _usage(command: str, settings_cls: type[CommandSettings]) -> str:
    fields = settings_cls.model_fields.items()
    words = [name.upper() for name, field in fields if field.json_schema_extra == POSITIONAL]
    return " ".join([command, *words])


def _option_row(name: str, field: FieldInfo) -> tuple[str, str]:
    value = "" if field.annotation is bool else f" {metavar(name, field)}"
    default = "" if field.default in (None, [], {}, "", False) or field.is_required() else f" (`{_shown(field)}`)"
    return f"`{flag_of(name)}{value}`", f"{field.description}{default}"


def _shown(field: FieldInfo) -> str:
    default = field.default
    return ",".join(map(str, cast(list[object], default))) if isinstance(default, list) else str(default)


def _tools() -> str:
    async def listed() -> list[Tool]:
        server = build_server(
            backend_of("any", lambda _: FakeModel()), load_settings(ServeSettings, "serve", []).server_limits()
        )
        return await server.list_tools()

    return "\n\n".join(_tool(tool) for tool in anyio.run(listed))


def _tool(tool: Tool) -> str:
    required = tool.input_schema.get("required", [])
    rows = [_argument_row(name, schema, name in required) for name, schema in tool.input_schema["properties"].items()]
    head = f"**`{tool.name}`**: {tool.description}"
    return f"{head}\n\n{_table('argument', rows)}" if rows else head


def _argument_row(name: str, schema: dict[str, Any], required: bool) -> tuple[str, str]:
    kind = schema.get("type", "any")
    if kind == "array":
        kind = f"array of {schema.get('items', {}).get('type', 'any')}s"
    default = [f"default `{schema['default']}`"] if "default" in schema else []
    facts = [kind, *(["required"] if required else []), *default]
    return f"`{name}`", f"{', '.join(facts)}. {schema.get('description', '')}".rstrip()


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| {_cell(left)} | {_cell(right)} |" for left, right in rows]
    return "\n".join([f"| {title} | |", "|---|---|", *lines])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    README.write_text(with_references(README.read_text(encoding="utf-8")), encoding="utf-8")
