"""The command `mcp-llama`."""

import errno
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, cast

from mcp_llama import __version__
from mcp_llama.errors import ConfigError, McpLlamaError, UnknownNameError

if TYPE_CHECKING:
    from mcp_llama.settings.command import CommandSettings

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
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def main() -> None:
    """Run the command line and exit."""
    _open_missing_streams()
    status = _EXIT_FAILED
    try:
        try:
            status = run(sys.argv[1:])
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        status = _EXIT_INTERRUPTED
    except BrokenPipeError:
        _drop_stdout()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _drop_stdout()
        print(f"mcp-llama: The output could not be written: {error.strerror}.", file=sys.stderr)
        status = _EXIT_FAILED
    sys.exit(status)


def _drop_stdout() -> None:
    # Nobody takes it any more, and Python would complain again when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _open_missing_streams() -> None:
    """Put the null device where the caller closed a standard stream."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def run(arguments: list[str]) -> int:
    """Run a command line; returns the exit status."""
    # They take a while; here Ctrl-C in the midst of it is no traceback.
    from mcp_llama.config import SETTINGS, load_settings
    from mcp_llama.logs import configure_logging

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
        return _function(command)(settings)
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


def _function(command: str) -> Callable[["CommandSettings"], int]:
    module, _, name = _COMMANDS[command].partition(":")
    return cast("Callable[[CommandSettings], int]", getattr(import_module(module), name))


def _actions(group: str) -> dict[str, str]:
    """The second words of commands that begin with this one, and what they do; none if there are no such commands."""
    from mcp_llama.config import SETTINGS

    described = {command: str(SETTINGS[command].__doc__) for command in _COMMANDS if command.startswith(f"{group} ")}
    return {command.partition(" ")[2]: text.split(".")[0] for command, text in described.items()}


def _actions_help(group: str, actions: dict[str, str]) -> str:
    lines = [f"  mcp-llama {group} {action:<10}{text}" for action, text in actions.items()]
    return "\n".join([f"usage: mcp-llama {group} ACTION [--help]\n", *lines])


def _fail(error: McpLlamaError, status: int) -> int:
    print(f"mcp-llama: {error}", file=sys.stderr)
    return status


_COMMANDS = {
    "serve": "mcp_llama.commands.serve:run_serve",
    "stdio": "mcp_llama.commands.stdio:run_stdio",
    "generate": "mcp_llama.commands.text:run_generate",
    "chat": "mcp_llama.commands.text:run_chat",
    "models list": "mcp_llama.model_commands.listing:run_list",
    "models info": "mcp_llama.model_commands.info:run_info",
    "models default": "mcp_llama.model_commands.default:run_default",
    "models pull": "mcp_llama.model_commands.pull:run_pull",
    "models rm": "mcp_llama.model_commands.removal:run_remove",
    "config": "mcp_llama.clients.command:run_config",
    "doctor": "mcp_llama.doctor:run_doctor",
    "bench": "mcp_llama.bench.command:run_bench",
}
"""Where the function of each command is; it is imported when the command is run, so that each starts fast."""
