"""How clients write an entry down. A limit for one call is set wherever an entry has one."""

from collections.abc import Callable

from mcp_llama.clients.server import Address, Launch

Entry = dict[str, object]
LaunchShape = Callable[[str, Launch], Entry]
AddressShape = Callable[[str, Address], Entry]

_STARTUP_S = 60
_DESCRIPTION = "A local llama.cpp model"


def plain(name: str, launch: Launch) -> Entry:
    """What most clients take."""
    return {"command": launch.command, "args": list(launch.args)}


def typed(name: str, launch: Launch) -> Entry:
    """With the transport spelled out."""
    return {"type": "stdio", **plain(name, launch)}


def timed(name: str, launch: Launch) -> Entry:
    """With a limit in seconds: Zed."""
    return {**plain(name, launch), "timeout": launch.patience_s}


def cline(name: str, launch: Launch) -> Entry:
    """With the transport, and a limit in seconds."""
    return {**typed(name, launch), "timeout": launch.patience_s}


def gemini(name: str, launch: Launch) -> Entry:
    """With a limit in milliseconds."""
    return {**plain(name, launch), "timeout": launch.patience_s * 1000}


def codex(name: str, launch: Launch) -> Entry:
    """With limits in seconds for the start and for a call."""
    return {**plain(name, launch), "startup_timeout_sec": _STARTUP_S, "tool_timeout_sec": launch.patience_s}


def continue_(name: str, launch: Launch) -> Entry:
    """An item of a list; its limit, in milliseconds, is for calls too."""
    return {"name": name, **typed(name, launch), "connectionTimeout": launch.patience_s * 1000}


def goose(name: str, launch: Launch) -> Entry:
    """An extension, with a limit in seconds."""
    start = {"cmd": launch.command, "args": list(launch.args)}
    return {**_extension(name, "stdio"), **start, "timeout": launch.patience_s}


def opencode(name: str, launch: Launch) -> Entry:
    """The command and its arguments in one list, and a limit in milliseconds."""
    command = [launch.command, *launch.args]
    return {"type": "local", "command": command, "enabled": True, "timeout": launch.patience_s * 1000}


def plain_url(name: str, address: Address) -> Entry:
    """What most clients take."""
    return {"url": address.url}


def typed_url(name: str, address: Address) -> Entry:
    """With the transport spelled out."""
    return {"type": "http", "url": address.url}


def timed_url(name: str, address: Address) -> Entry:
    """With the transport, and a limit in milliseconds: Claude Code, Gemini CLI."""
    return {**typed_url(name, address), "timeout": address.patience_s * 1000}


def zed_url(name: str, address: Address) -> Entry:
    """With a limit in seconds."""
    return {"url": address.url, "timeout": address.patience_s}


def codex_url(name: str, address: Address) -> Entry:
    """With a limit in seconds for a call."""
    return {"url": address.url, "tool_timeout_sec": address.patience_s}


def cline_url(name: str, address: Address) -> Entry:
    """With a word of its own for the transport, because a bare URL means the older SSE."""
    return {"type": "streamableHttp", "url": address.url, "timeout": address.patience_s}


def windsurf_url(name: str, address: Address) -> Entry:
    """With a word of its own for the URL."""
    return {"serverUrl": address.url}


def continue_url(name: str, address: Address) -> Entry:
    """An item of a list."""
    limit = address.patience_s * 1000
    return {"name": name, "type": "streamable-http", "url": address.url, "connectionTimeout": limit}


def goose_url(name: str, address: Address) -> Entry:
    """An extension."""
    return {**_extension(name, "streamable_http"), "uri": address.url, "timeout": address.patience_s}


def opencode_url(name: str, address: Address) -> Entry:
    """A remote server, with a limit in milliseconds."""
    return {"type": "remote", "url": address.url, "enabled": True, "timeout": address.patience_s * 1000}


def _extension(name: str, kind: str) -> Entry:
    return {"enabled": True, "type": kind, "name": name, "description": _DESCRIPTION}
