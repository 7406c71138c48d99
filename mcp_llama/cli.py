"""The command `mcp-llama`."""

import asyncio
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import cast

from rich.console import Console

from mcp_llama import __version__, event_loop
from mcp_llama.assembly import server_backend, text_backend
from mcp_llama.backends.local import LocalBackend
from mcp_llama.clients.server import launch
from mcp_llama.clients.shapes import plain
from mcp_llama.config import SETTINGS, load_settings
from mcp_llama.doctor import run_doctor
from mcp_llama.errors import ConfigError, McpLlamaError, UnknownNameError
from mcp_llama.logs import configure_logging
from mcp_llama.models.files import ModelFile, find_model
from mcp_llama.models.folder import models_folder
from mcp_llama.models.reference import parse_reference
from mcp_llama.server.app import SSE_PATH, build_app
from mcp_llama.server.client_watch import MCP_PATH
from mcp_llama.server.factory import build_server
from mcp_llama.server.http import bind, drop_stalled, serve_http
from mcp_llama.server.security import AppSecurity
from mcp_llama.server.stdio import claim_stdio, serve_stdio
from mcp_llama.settings.bench import BenchSettings
from mcp_llama.settings.clients import ClientSettings
from mcp_llama.settings.command import CommandSettings
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
from mcp_llama.terminal import run_chat, run_generate, show_loading

_HELP = f"""\
mcp-llama {__version__}: a local llama.cpp model as tools for agents, token by token.

  mcp-llama serve                       MCP, /v1 and a playground on http://127.0.0.1:8080/
  mcp-llama stdio                       MCP over stdin and stdout, for Claude Desktop and others
  mcp-llama generate "Once upon a time" continue a text here on the terminal
  mcp-llama chat "Why is the sky blue?" ask once; without a question, hold a conversation
  mcp-llama models list                 the models on this machine, Ollama's and LM Studio's among them
  mcp-llama models info NAME            what a model can do, and how much memory it needs
  mcp-llama models default NAME         the model that is used when none is named
  mcp-llama models pull hf:OWNER/REPO   download a model from Hugging Face
  mcp-llama models rm NAME              delete a model that was downloaded
  mcp-llama config claude-desktop       the entry for an MCP client; --write merges it into the client's file
  mcp-llama doctor                      check this machine, the build and the model
  mcp-llama bench                       measure how fast this machine runs the model

  mcp-llama serve --model ~/models/my.gguf --n-ctx 4096
  mcp-llama COMMAND --help              all options of a command

Every option can also be an environment variable (MCP_LLAMA_N_CTX=4096) or a line in a TOML file (--config FILE).
"""
_EXIT_FAILED = 1
_EXIT_USAGE = 2
_EXIT_INTERRUPTED = 130

logger = logging.getLogger(__name__)


def main() -> None:
    """Run the command line and exit."""
    _open_missing_streams()
    status = _EXIT_FAILED
    try:
        try:
            status = run(sys.argv[1:])
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our stdout left; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)


def _open_missing_streams() -> None:
    """Put the null device where the caller closed a standard stream."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def run(arguments: list[str]) -> int:
    """Run a command line; returns the exit status."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_HELP)
        return 0
    if arguments[0] in ("-V", "--version"):
        print(__version__)
        return 0
    actions = _actions(arguments[0])
    if actions and arguments[1:2] in ([], ["-h"], ["--help"], ["help"]):
        print(_actions_help(arguments[0], actions))
        return 0
    try:
        command, rest = _split_command(arguments)
        settings = load_settings(SETTINGS[command], command, rest)
        configure_logging(settings.log_level)
        return _COMMANDS[command](settings)
    except ConfigError as error:
        return _fail(error, _EXIT_USAGE)
    except McpLlamaError as error:
        return _fail(error, _EXIT_FAILED)
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED


def _split_command(arguments: list[str]) -> tuple[str, list[str]]:
    """The command, whose name may be two words, and its arguments."""
    for words in (2, 1):
        command = " ".join(arguments[:words])
        if command in _COMMANDS:
            return command, arguments[words:]
    actions = _actions(arguments[0])
    if actions:
        raise ConfigError(str(UnknownNameError(f"action of {arguments[0]}", arguments[1], actions)))
    raise ConfigError(str(UnknownNameError("command", arguments[0], _COMMANDS)))


def _actions(group: str) -> dict[str, str]:
    """The second words of commands that begin with this one, and what they do; none if there are no such commands."""
    described = {command: str(SETTINGS[command].__doc__) for command in _COMMANDS if command.startswith(f"{group} ")}
    return {command.partition(" ")[2]: text.split(".")[0] for command, text in described.items()}


def _actions_help(group: str, actions: dict[str, str]) -> str:
    lines = [f"  mcp-llama {group} {action:<10}{text}" for action, text in actions.items()]
    return "\n".join([f"usage: mcp-llama {group} ACTION [--help]\n", *lines])


def _fail(error: McpLlamaError, status: int) -> int:
    print(f"mcp-llama: {error}", file=sys.stderr)
    return status


def _serve(settings: ServeSettings) -> int:
    file = find_model(settings.model)
    backend = server_backend(settings, file)
    mcp = build_server(backend, settings.server_limits())
    security = AppSecurity(allowed_hosts=settings.allowed_hosts, allowed_origins=settings.allowed_origins)
    listener = bind(settings.host, settings.port)
    drop_stalled(listener, settings.stall_timeout)
    app = build_app(mcp, backend, settings.server_limits(), security)
    host, port = listener.getsockname()[:2]
    base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def serve() -> None:
        loading: list[asyncio.Task[None]] = []

        def announce() -> None:
            print(_welcome(base, file, settings), flush=True)
            loading.append(asyncio.create_task(_announce_ready(backend)))

        await serve_http(app, backend, mcp, listener, announce)

    event_loop.run(serve())
    return 0


async def _announce_ready(backend: LocalBackend) -> None:
    try:
        await show_loading(backend)
    except McpLlamaError as error:
        # The server stays up: it tells every caller the same, and /health says why.
        logger.error("%s", error)
        return
    card = backend.status().card
    assert card is not None
    logger.info("%s is ready: %d slots of %d tokens", card.name, card.n_slots, card.n_ctx)


def _welcome(base: str, file: ModelFile, settings: ServeSettings) -> str:
    entry = {"mcpServers": {"mcp-llama": plain("mcp-llama", launch(settings, file.path))}}
    return (
        f"mcp-llama {__version__} serves {file.name} ({file.reason}).\n\n"
        f"  Playground       {base}/\n"
        f"  Streamable HTTP  {base}{MCP_PATH}\n"
        f"  SSE (older)      {base}{SSE_PATH}\n"
        f"  OpenAI API       {base}/v1\n"
        f"  Documentation    {base}/docs\n\n"
        "Claude Desktop, Cursor and others start their own server with this entry, which mcp-llama config writes:\n\n"
        f"{json.dumps(entry, indent=2)}\n\n"
        "Ctrl-C ends the server.\n"
    )


def _stdio(settings: StdioSettings) -> int:
    backend = server_backend(settings, find_model(settings.model))
    server = build_server(backend, settings.server_limits())
    event_loop.run(serve_stdio(server, backend, claim_stdio()))
    return 0


def _generate(settings: GenerateSettings) -> int:
    return run_generate(text_backend(settings, find_model(settings.model)), settings)


def _chat(settings: ChatSettings) -> int:
    return run_chat(text_backend(settings, find_model(settings.model)), settings)


def _models_list(settings: ModelsListSettings) -> int:
    from mcp_llama.model_commands.listing import run_list

    return run_list(settings)


def _models_info(settings: ModelsInfoSettings) -> int:
    from mcp_llama.model_commands.info import run_info

    return run_info(settings)


def _models_default(settings: ModelsDefaultSettings) -> int:
    from mcp_llama.model_commands.default import run_default

    return run_default(settings)


def _models_remove(settings: ModelsRemoveSettings) -> int:
    from mcp_llama.model_commands.removal import run_remove

    return run_remove(settings)


def _pull(settings: PullSettings) -> int:
    # What asks the hub takes longer to import than all the rest.
    try:
        # It prints what is wrong with its variables.
        with redirect_stdout(sys.stderr):
            from mcp_llama.models.pull import pull
            from mcp_llama.models.pull_view import PullView
    except ValueError as error:
        raise ConfigError(f"A variable HF_… has a value that cannot be used: {error}.") from error

    path = pull(parse_reference(settings.repo), models_folder(), PullView(Console(stderr=True)))
    print(f"Use it: mcp-llama serve --model {shlex.quote(str(path))}", file=sys.stderr)
    print(path)
    return 0


def _config(settings: ClientSettings) -> int:
    # The other commands start faster without it.
    from mcp_llama.clients.command import run_config

    return run_config(settings)


def _doctor(settings: DoctorSettings) -> int:
    return run_doctor(settings)


def _bench(settings: BenchSettings) -> int:
    # The other commands start faster without it.
    from mcp_llama.bench.command import run_bench

    return run_bench(settings)


_COMMANDS = cast(
    dict[str, Callable[[CommandSettings], int]],
    {
        "serve": _serve,
        "stdio": _stdio,
        "generate": _generate,
        "chat": _chat,
        "models list": _models_list,
        "models info": _models_info,
        "models default": _models_default,
        "models pull": _pull,
        "models rm": _models_remove,
        "config": _config,
        "doctor": _doctor,
        "bench": _bench,
    },
)
