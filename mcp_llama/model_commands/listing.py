"""The command `models list`."""

import json
import sys
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mcp_llama.model_commands.default import find_default
from mcp_llama.model_commands.note import note
from mcp_llama.models.catalog import Catalog
from mcp_llama.models.gguf_head import DamagedGgufError, GgufHead, read_head
from mcp_llama.models.quantisation import quantisation_of
from mcp_llama.models.repo import size_text
from mcp_llama.models.stored import StoredModel
from mcp_llama.settings.models import ModelsListSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A model as it is listed; the size is in bytes, and None stands for what cannot be told without loading it."""

    name: str
    size: int
    quantisation: str | None
    architecture: str | None
    store: str
    default: bool
    missing_parts: int
    path: str


def run_list(settings: ModelsListSettings) -> int:
    """Print what is there; returns the exit status."""
    catalog = Catalog.scan()
    default = find_default(catalog, settings.config)
    rows = [_row(model, is_default=model == default) for model in catalog.models()]
    if not rows:
        note("There are no models here. `mcp-llama models pull hf:OWNER/REPO` downloads one.")
    if settings.json_:
        sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    elif sys.stdout.isatty():
        Console().print(_table(rows))
    else:
        sys.stdout.writelines(_line(row) + "\n" for row in rows)
    return 0


def _row(model: StoredModel, *, is_default: bool) -> Row:
    head = _head(model)
    return Row(
        name=model.name,
        size=model.size,
        quantisation=quantisation_of(model, head),
        architecture=head.architecture if head else None,
        store=model.store,
        default=is_default,
        missing_parts=model.missing_parts,
        path=str(model.path),
    )


def _head(model: StoredModel) -> GgufHead | None:
    try:
        return read_head(model.path)
    except (OSError, DamagedGgufError):
        # Removed or changed since it was found.
        return None


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("name", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    for name in ("quantisation", "architecture", "store"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        mark, name = ("*" if row.default else ""), f"{row.name} ({_missing(row)})" if row.missing_parts else row.name
        texts = (mark, name, size_text(row.size), row.quantisation or "", row.architecture or "", row.store)
        # Repositories and files are called as their makers like.
        table.add_row(*map(escape, texts), style="bold" if row.default else "")
    return table


def _line(row: Row) -> str:
    texts = (row.name, str(row.size), row.quantisation or "", row.architecture or "", row.store, _remark(row))
    # A file's name may have any character.
    return "\t".join(" ".join(text.splitlines()).replace("\t", " ") for text in texts)


def _remark(row: Row) -> str:
    return _missing(row) if row.missing_parts else "default" if row.default else ""


def _missing(row: Row) -> str:
    return f"incomplete, missing parts: {row.missing_parts}"
