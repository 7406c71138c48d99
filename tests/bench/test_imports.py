"""Who in the benchmark may import what."""

import sys

from tests.test_layers import foreign_imports, inner_imports, sources

LOADING = {"mcp_llama.bench.raw", "mcp_llama.bench.raw_loop", "mcp_llama.bench.inprocess", "mcp_llama.bench.options"}


def reached(module: str) -> set[str]:
    """A module of the package, and all that it imports."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        found.add(name := waiting.pop())
        waiting += inner_imports(name) - found
    return found


def test_the_client_stands_on_the_standard_library_alone() -> None:
    modules = reached("mcp_llama.bench.client")
    assert {name for module in modules for name in foreign_imports(module)} - set(sys.stdlib_module_names) == set()


def test_the_run_loads_no_model_into_its_own_process() -> None:
    assert reached("mcp_llama.bench.run") & LOADING == set()
    assert not any(module.startswith("mcp_llama.engine") for module in reached("mcp_llama.bench.run"))


def test_nothing_but_the_command_line_knows_the_benchmark() -> None:
    outside = {module for module in sources() if not module.startswith("mcp_llama.bench")}
    users = {module for module in outside for name in inner_imports(module) if name.startswith("mcp_llama.bench")}
    assert users <= {"mcp_llama.cli", "mcp_llama.config"}
