"""What a command imports before it begins. A client may ask its model before a slow server has answered."""

import subprocess
import sys

import pytest

HEAVY = {"fastapi", "fastapi_offline", "rich", "huggingface_hub", "matplotlib", "tomlkit", "ruamel.yaml"}


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("mcp_llama.cli", set[str]()),
        ("mcp_llama.config", set[str]()),
        ("mcp_llama.commands.stdio", set[str]()),
        ("mcp_llama.commands.serve", {"fastapi", "fastapi_offline", "rich"}),
    ],
)
def test_a_command_imports_what_it_needs(module: str, needed: set[str]) -> None:
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stdout.split()) == needed
