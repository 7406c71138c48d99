"""The shape of the package, read from its imports."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import mcp_llama

ROOT = Path(mcp_llama.__file__).parent
MAX_LINES = 300

LAYERS = (
    {"mcp_llama", "api", "errors", "gguf_parts", "signals"},
    {"engine", "chat"},
    {"models"},
    {"backends"},
    {"server"},
)
"""From the inside out; a part may import its own layer and those before it. What is not named is outside of all."""

OUTSIDE = {"mcp", "mcp_types", "starlette", "uvicorn", "pydantic", "pydantic_settings", "rich", "jinja2", "asyncio"}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module; `typing_only` if only a type checker sees it."""

    module: str
    typing_only: bool


@cache
def sources() -> dict[str, Path]:
    """The modules of the package and their files."""
    found: dict[str, Path] = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("mcp_llama", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(module: str) -> tuple[Import, ...]:
    """What a module imports, wherever in it."""
    return tuple(_imports(ast.parse(sources()[module].read_text(encoding="utf-8")), typing_only=False))


def _imports(node: ast.AST, *, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, typing_only) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports name the whole path"
            assert child.module is not None
            # `from package import module` imports the module; of anything else only the source counts.
            for alias in child.names:
                inner = f"{child.module}.{alias.name}"
                yield Import(inner if inner in sources() else child.module, typing_only)
        else:
            guarded = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            yield from _imports(child, typing_only=typing_only or guarded)


def part(module: str) -> str:
    """The part of the package that a module belongs to: the package below the root, or the module itself."""
    return module.split(".")[1] if "." in module else module


def layer(module: str) -> int:
    return next((index for index, parts in enumerate(LAYERS) if part(module) in parts), len(LAYERS))


def inner_imports(module: str) -> set[str]:
    return {found.module for found in imports(module) if found.module in sources()}


def foreign_imports(module: str) -> set[str]:
    return {found.module.split(".")[0] for found in imports(module)} - {"mcp_llama"}


def test_every_layer_is_there_and_the_command_line_is_outside_of_them() -> None:
    parts = {part(module) for module in sources()}
    assert set[str]().union(*LAYERS) <= parts
    assert layer("mcp_llama.cli") == len(LAYERS)


@pytest.mark.parametrize("module", sources())
def test_imports_point_inward(module: str) -> None:
    assert [found for found in inner_imports(module) if layer(found) > layer(module)] == []


@pytest.mark.parametrize("module", sources())
def test_only_one_package_imports_llama_cpp(module: str) -> None:
    allowed = module == "mcp_llama.engine.llama" or module.startswith("mcp_llama.engine.llama.")
    assert allowed or "llama_cpp" not in foreign_imports(module)


def test_the_package_that_may_import_llama_cpp_does() -> None:
    importers = {module for module in sources() if "llama_cpp" in foreign_imports(module)}
    assert "mcp_llama.engine.llama.model" in importers


def test_the_token_loop_does_not_know_llama_cpp() -> None:
    loop = [module for module in sources() if part(module) == "engine" and ".llama" not in module[len("mcp_llama") :]]
    assert "mcp_llama.engine.engine" in loop
    assert {found for module in loop for found in inner_imports(module) if ".engine.llama" in found} == set()


@pytest.mark.parametrize("module", [module for module in sources() if part(module) == "engine"])
def test_the_engine_knows_no_protocol_and_no_chat(module: str) -> None:
    assert foreign_imports(module) & (OUTSIDE - {"asyncio"}) == set()
    assert {part(found) for found in inner_imports(module)} <= {"engine", "api", "errors", "gguf_parts"}


def test_the_chat_knows_no_engine() -> None:
    assert {part(found) for found in inner_imports("mcp_llama.chat.template")} <= {"api", "errors", "chat"}


def test_backends_models_and_engine_know_no_mcp_and_no_http() -> None:
    inner = [module for module in sources() if layer(module) <= 3]
    assert {found for module in inner for found in foreign_imports(module)} & {"mcp", "mcp_types", "starlette"} == set()


def test_packages_import_each_other_in_one_direction() -> None:
    graph = {part(module): set[str]() for module in sources()}
    for module in sources():
        graph[part(module)] |= {part(found) for found in inner_imports(module)} - {part(module)}
    assert _cycle(graph) is None


def test_modules_import_each_other_in_one_direction() -> None:
    graph = {
        module: {found.module for found in imports(module) if found.module in sources() and not found.typing_only}
        for module in sources()
    }
    assert _cycle(graph) is None


def _cycle(graph: dict[str, set[str]]) -> list[str] | None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


@pytest.mark.parametrize("module", sources())
def test_no_module_is_longer_than_it_may_be(module: str) -> None:
    assert len(sources()[module].read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_the_declared_dependencies_are_those_that_are_imported() -> None:
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["plot"]]
    declared = {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}
    found = {name for module in sources() for name in foreign_imports(module)} - sys.stdlib_module_names
    # The types of mcp are a distribution of its own, which mcp pins.
    distributions = packages_distributions()
    imported = {distributions[name][0].lower().replace("_", "-") for name in found} - {"mcp-types"}
    # uvicorn takes it by its name.
    assert imported | {"httptools"} == declared
