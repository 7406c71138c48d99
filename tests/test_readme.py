"""Whatever the README tells people to type is something that the program takes."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

import mcp_llama
from mcp_llama.command_line import flag_of
from mcp_llama.config import SETTINGS, load_settings
from mcp_llama.errors import ConfigError
from mcp_llama.settings.command import ENV_PREFIX
from tests.isolation import isolation
from tests.reference import with_references

ROOT = Path(mcp_llama.__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LANGUAGES = {"sh", "json", "python", "toml"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, and the line of the README where it begins."""

    language: str
    line: int
    text: str


def _blocks() -> list[Block]:
    found = re.finditer(r"^( *)```([\w-]*)[^\n]*\n(.*?)^\1```$", README, re.MULTILINE | re.DOTALL)
    return [Block(m[2], README.count("\n", 0, m.start()) + 1, m[3]) for m in found]


BLOCKS = _blocks()


def blocks(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def split_line(line: str) -> Iterator[list[str]]:
    """The simple commands of a shell line, word by word."""
    lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word and set(word) <= set(";|&()"):
            if command:
                yield command
            command = []
        else:
            command.append(word)


def commands() -> list[list[str]]:
    """Every command of the blocks, and every one that stands in the text between backticks."""
    text = re.sub(r"^( *)```.*?^\1```$", "", README, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks("sh") for line in block.text.replace("\\\n", " ").splitlines()]
    lines += [
        " ".join(span.split()) for span in re.findall(r"`([^`]+)`", text) if re.match(r"(uv run )?mcp-llama ", span)
    ]
    return [command for line in lines for command in split_line(line)]


def variables(command: list[str]) -> dict[str, str]:
    """The variables that are set in front of a command."""
    pairs: dict[str, str] = {}
    for word in command:
        found = re.fullmatch(r"([A-Z_]+)=(.*)", word, re.DOTALL)
        if found is None:
            break
        pairs[found[1]] = found[2]
    return pairs


def own_arguments(command: list[str]) -> list[str] | None:
    """What follows `mcp-llama` or `python -m mcp_llama` in a command; None if that is not what it runs."""
    words = command[len(variables(command)) :]
    if words[:2] == ["uv", "run"]:
        words = words[2:]
    if words[1:3] == ["-m", "mcp_llama"]:
        words = words[2:]
    return words[1:] if words[:1] in (["mcp-llama"], ["mcp_llama"]) else None


OWN = [(command, arguments) for command in commands() if (arguments := own_arguments(command)) is not None]


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        yield


def check_arguments(arguments: list[str]) -> None:
    """Load the settings of a command line as the program would."""
    if arguments[0] in ("--help", "--version"):
        return
    words = 2 if " ".join(arguments[:2]) in SETTINGS else 1
    name, rest = " ".join(arguments[:words]), arguments[words:]
    assert name in SETTINGS, f"{name} is no command"
    for index, flag in enumerate(rest[:-1]):
        if flag == "--config" and not Path(rest[index + 1]).is_file():
            rest[index + 1] = "empty.toml"
            Path("empty.toml").touch()
    try:
        load_settings(SETTINGS[name], name, rest)
    except SystemExit as end:
        assert end.code == 0, f"{arguments} is refused"  # noqa: PT017 - the message says which


def test_the_readme_has_blocks_of_each_kind_that_people_copy() -> None:
    assert blocks("sh")
    assert blocks("json")
    assert {block.language for block in BLOCKS} <= LANGUAGES


def test_the_readme_shows_how_to_start_each_door() -> None:
    shown = {arguments[0] for _, arguments in OWN}
    assert {"serve", "chat", "generate", "doctor"} <= shown


@pytest.mark.parametrize(("command", "arguments"), OWN, ids=lambda words: " ".join(words))
def test_a_command_of_the_readme_is_taken(
    command: list[str], arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables(command).items():
        monkeypatch.setenv(name, value)
    check_arguments(arguments)


@pytest.mark.parametrize("block", blocks("json"), ids=lambda block: f"line {block.line}")
def test_a_json_block_is_json_and_its_entries_start_the_program(block: Block) -> None:
    value = cast(dict[str, dict[str, dict[str, Any]]], json.loads(block.text))
    for entry in value.get("mcpServers", {}).values():
        words = [Path(entry["command"]).name, *entry["args"]]
        (start,) = [index for index, word in enumerate(words) if word in ("mcp-llama", "mcp_llama")]
        check_arguments(words[start + 1 :])


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: f"line {block.line}")
def test_a_python_block_compiles(block: Block) -> None:
    compile(block.text, f"README.md, line {block.line}", "exec", dont_inherit=True)


@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: f"line {block.line}")
def test_a_toml_block_is_taken_as_options(block: Block, tmp_path: Path) -> None:
    assert tomllib.loads(block.text)
    (tmp_path / "options.toml").write_text(block.text)
    check_arguments(["serve", "--config", str(tmp_path / "options.toml")])


def test_every_flag_and_variable_of_the_readme_exists() -> None:
    options = {name for settings_cls in SETTINGS.values() for name in settings_cls.model_fields}
    flags = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", " ".join(re.findall(r"`(--[^`]+)`", README))))
    assert flags
    assert flags - {"help"} <= {flag_of(name).removeprefix("--") for name in options}
    names = set(re.findall(rf"{ENV_PREFIX}([A-Z_]+)", README))
    assert names
    assert names <= {name.upper() for name in options}


def test_the_reference_of_options_and_tools_is_that_of_the_program() -> None:
    assert with_references(README) == README, "run python -m tests.reference"


def test_every_file_that_the_readme_names_is_there() -> None:
    names = set(re.findall(r"(?<![\w/])(?:examples|tests|mcp_llama)/[\w./-]+\w", README))
    assert names
    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []


def test_an_unknown_flag_in_the_readme_would_be_noticed() -> None:
    with pytest.raises((AssertionError, ConfigError)):
        check_arguments(["serve", "--no-such-flag", "1"])
