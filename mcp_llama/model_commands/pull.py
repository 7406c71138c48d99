"""The command `models pull`."""

import shlex
import sys
from contextlib import redirect_stdout

from rich.console import Console

from mcp_llama.errors import ConfigError
from mcp_llama.models.folder import models_folder
from mcp_llama.models.reference import parse_reference
from mcp_llama.settings.pull import PullSettings


def run_pull(settings: PullSettings) -> int:
    """Download, and print where the model is; returns the exit status."""
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
