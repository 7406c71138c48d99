"""The command `config`: the entry for a client on stdout, and on demand in the client's own file."""

import re
import sys
from pathlib import Path

from mcp_llama.clients.catalog import CLIENTS, Client
from mcp_llama.clients.failure import MergeError
from mcp_llama.clients.file import rewrite
from mcp_llama.clients.place import Place, this_place
from mcp_llama.clients.server import Address, launch
from mcp_llama.clients.shapes import Entry
from mcp_llama.clients.target import Format, Target
from mcp_llama.errors import ConfigError, UnknownNameError
from mcp_llama.models.files import find_model
from mcp_llama.settings.clients import ClientSettings


def run_config(settings: ClientSettings, place: Place | None = None) -> int:
    """Print the entry for a client, or without one the clients; returns the exit status."""
    place = place or this_place()
    if not settings.client:
        _list_clients(place)
        return 0
    client = CLIENTS.get(settings.client)
    if client is None:
        raise ConfigError(str(UnknownNameError("client", settings.client, CLIENTS)))
    entry = _entry(client, settings)
    file = settings.file or client.file(place)
    target = Target(container=client.container, name=settings.name, listed=client.listed, preamble=client.preamble)
    language = format_of(client)
    if settings.write:
        outcome = _write(client, file, language, target, entry)
    else:
        where = f"{file}, where --write" if file else "the file of your client, where --write --file FILE"
        outcome = f"it belongs in {where} puts it. Then {client.next_step}."
    print(language.render(target, entry), end="")
    print(f"{client.title}: {outcome}", file=sys.stderr)
    if settings.url and re.fullmatch(r"https?://[^/?#]+/*", settings.url):
        # No error: a proxy may have put the server at its root.
        print(f"{settings.url} has no path, but mcp-llama serve answers MCP clients at /mcp.", file=sys.stderr)
    return 0


def format_of(client: Client) -> Format:
    """What edits the files of a client. Loaded when it is needed: YAML and TOML have libraries of their own."""
    if client.language in ("json", "jsonc"):
        from mcp_llama.clients.json_text import JsonFormat

        return JsonFormat(comments=client.language == "jsonc")
    if client.language == "toml":
        from mcp_llama.clients.toml_text import TomlFormat

        return TomlFormat()
    from mcp_llama.clients.yaml_text import YamlFormat

    return YamlFormat()


def _list_clients(place: Place) -> None:
    wide = max(map(len, CLIENTS)) + 2
    for name, client in CLIENTS.items():
        print(f"{name:{wide}}{client.file(place) or 'prints an entry in the form that most clients take'}")
    print("mcp-llama config CLIENT prints the entry for one, and --write merges it into the file.", file=sys.stderr)


def _entry(client: Client, settings: ClientSettings) -> Entry:
    if settings.url is None:
        return client.launch(settings.name, launch(settings, find_model(settings.model).path))
    if client.address is None:
        raise ConfigError(
            f"{client.title} starts its servers itself: its file takes no URL. Leave --url out, or let it start a "
            f"bridge, such as npx -y mcp-remote {settings.url} --transport http-only, which needs Node.js."
        )
    return client.address(settings.name, Address(url=settings.url))


def _write(client: Client, file: Path | None, language: Format, target: Target, entry: Entry) -> str:
    if file is None:
        raise ConfigError("json is no client with a file of its own. Name the file with --file FILE.")
    older = client.outranked and file.with_name(client.outranked)
    if older and older.exists() and not file.exists():
        raise ConfigError(f"{client.title} would no longer read {older} if there were a {file.name}. Convert it first.")
    try:
        written = rewrite(file, lambda text: language.merge(text, target, entry))
    except MergeError as error:
        raise MergeError(f"{file} was not changed: {error}.") from error
    if not written.changed:
        return f"{file} has this entry already, and was not changed."
    kept = f"; as it was before, it is {written.backup}" if written.backup else ""
    return f"the entry is in {file}{kept}. Now {client.next_step}."
