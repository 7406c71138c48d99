"""What the command says before it answers: help, and one line for each thing that is wrong."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from mcp_llama import __version__
from mcp_llama.config import SETTINGS
from tests.command import COMMAND, PATIENCE_S, SMALL, run_apart, run_here
from tests.isolation import isolation


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


@pytest.mark.parametrize("arguments", [(), ("-h",), ("--help",), ("help",)])
def test_help_shows_a_line_to_type_for_each_command(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run_here(capsys, *arguments)
    assert (outcome.status, outcome.err) == (0, "")
    assert f"mcp-llama {__version__}" in outcome.out
    for command in SETTINGS:
        assert f"\n  mcp-llama {command}" in outcome.out


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_the_version_is_only_that(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_here(capsys, flag)
    assert (outcome.status, outcome.out, outcome.err) == (0, f"{__version__}\n", "")


def test_the_installed_command_is_the_same_program() -> None:
    installed = Path(sys.executable).with_name("mcp-llama")
    done = subprocess.run([installed, "--help"], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert (done.stdout, done.stderr) == (run_apart("--help").out, "")


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("genrate", "mcp-llama: Unknown command 'genrate'. Did you mean 'generate'?"),
        (
            "xyzzy",
            "mcp-llama: Unknown command 'xyzzy'. "
            "Known: bench, chat, config, doctor, generate, models default, "
            "models info, models list, models pull, models rm, serve, stdio.",
        ),
    ],
)
def test_an_unknown_command_is_named_with_the_nearest(
    typed: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(capsys, typed, "x").problem(2) == line


@pytest.mark.parametrize(
    ("arguments", "unknown", "nearest"),
    [
        (("generate", "hi", "--temprature", "1"), "--temprature", "--temperature"),
        (("serve", "--prot=80"), "--prot", "--port"),
        (("generate", "hi", "--temperatur", "1"), "--temperatur", "--temperature"),
        (("chat", "hi", "--n_ctx", "64"), "--n_ctx", "--n-ctx"),
    ],
)
def test_an_unknown_flag_is_named_with_the_nearest(
    arguments: tuple[str, ...], unknown: str, nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = run_here(capsys, *arguments).problem(2)
    assert line == f"mcp-llama: Unknown flag {unknown!r}. Did you mean {nearest!r}?"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("generate",), "prompt"),
        (("generate", "two", "words"), "words"),
        (("generate", "hi", "--max-tokens"), "--max-tokens"),
        (("generate", "hi", "--config"), "--config"),
    ],
)
def test_a_line_that_does_not_add_up_is_one_line_on_stderr(
    arguments: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert named in run_here(capsys, *arguments).problem(2).lower()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--max-tokens", "0"), "max_tokens is '0': input should be greater than or equal to 1."),
        (("--temperature", "nan"), "temperature is 'nan': input should be"),
        (("--temperature", "-1"), "temperature is '-1': input should be greater than or equal to 0."),
        (("--top-p", "1.5"), "top_p is '1.5': input should be less than or equal to 1."),
        (("--n-ctx", "many"), "n_ctx is 'many': input should be a valid integer"),
        (("--log-level", "loud"), "log_level is 'loud': input should be 'debug', 'info', 'warning' or 'error'."),
        (("--sampling", "top_k"), "sampling"),
        (("--config", "nowhere.toml"), "No TOML file at nowhere.toml."),
    ],
)
def test_a_wrong_option_is_a_matter_of_usage(
    flags: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in run_here(capsys, "generate", "hi", *flags).problem(2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("generate", ""), "prompt is empty. Send the text to continue."),
        (("generate", "hi", "--sampling", "top_kk=3"), "Unknown sampling option 'top_kk'. Did you mean 'top_k'?"),
        (("generate", "hi", "--sampling", "top_k=x"), "--sampling top_k=x: the value must be a number, true or false."),
        (("generate", "hi", "--stop", ""), "stop holds an empty string, which would end every answer at once."),
    ],
)
def test_a_wrong_request_is_one_line_on_stderr(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(capsys, *arguments, *SMALL).problem(1).startswith(f"mcp-llama: {said}")


def test_a_prompt_that_does_not_fit_is_refused_with_the_three_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    line = run_here(capsys, "generate", "one " * 300, "--max-tokens", "32", *SMALL).problem(1)
    assert "has 301 tokens and max_tokens is 32, but the context holds 256." in line


def test_a_context_larger_than_the_model_was_trained_on_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    line = run_here(capsys, "generate", "hi", "--n-ctx", "100000").problem(2)
    assert line.startswith("mcp-llama: n_ctx is 100,000, but the model was trained on 8,192 tokens. ")


@pytest.mark.parametrize("command", ["generate", "chat", "serve"])
def test_a_missing_model_is_refused_by_its_path(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    question = () if command == "serve" else ("hi",)
    path = tmp_path / "nowhere.gguf"
    line = run_here(capsys, command, *question, "--model", str(path)).problem(1)
    assert line == f"mcp-llama: No model file at {path}. Give the path of a GGUF file."


@pytest.mark.parametrize("content", [b"PK\x03\x04zip", b""])
def test_a_file_that_is_no_model_is_refused_before_llama_cpp_sees_it(
    content: bytes, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "archive.gguf"
    path.write_bytes(content)
    line = run_here(capsys, "generate", "hi", "--model", str(path)).problem(1)
    assert line.startswith(f"mcp-llama: {path} is not a GGUF file (it starts with {content[:4]!r}).")


def test_a_truncated_model_is_one_line_on_stderr(tmp_path: Path, real_model_path: Path) -> None:
    path = tmp_path / "half.gguf"
    with real_model_path.open("rb") as file:
        path.write_bytes(file.read(1_000_000))
    # In a process of its own, because Python complains of what was left undone only at its end.
    line = run_apart("generate", "hi", "--model", str(path)).problem(1)
    assert line.startswith(f"mcp-llama: {path} could not be loaded: ")
    assert line.endswith("The file may be incomplete.")


@pytest.mark.parametrize("command", ["generate", "serve"])
def test_a_model_larger_than_the_memory_is_refused_with_both_numbers(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "huge.gguf"
    with path.open("wb") as file:
        file.write(b"GGUF")
        file.truncate(3 << 30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1 << 29))
    question = () if command == "serve" else ("hi",)
    line = run_here(capsys, command, *question, "--model", str(path)).problem(1)
    assert line.startswith("mcp-llama: huge.gguf has 3.0 GiB, but only 0.5 GiB of memory are free. ")


def test_a_port_that_is_taken_is_refused_before_anything_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = run_here(capsys, "serve", "--port", port).problem(2)
    assert line.startswith(f"mcp-llama: Cannot listen on 127.0.0.1 port {port}: Address already in use")


def test_an_address_of_another_machine_is_said_to_be_the_hosts_fault(capsys: pytest.CaptureFixture[str]) -> None:
    line = run_here(capsys, "serve", "--host", "192.0.2.1", "--port", "0").problem(2)
    assert line.startswith("mcp-llama: Cannot listen on 192.0.2.1 port 0: ")
    assert line.endswith(" Choose another with --host.")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [["--help"], ["models", "list"], ["generate", "hi", "--max-tokens", "2", *SMALL]])
def test_an_output_that_cannot_be_written_is_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False
        )
    assert (done.returncode, done.stderr) == (
        1,
        "mcp-llama: The output could not be written: No space left on device.\n",
    )


def test_a_reader_that_closes_our_stdout_hears_no_complaint() -> None:
    for arguments in (["--help"], ["serve", "--help"]):
        with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
            assert command.stdout is not None
            command.stdout.close()
            assert command.stderr is not None
            assert command.stderr.read() == b""


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_a_terminal_that_is_closed_is_no_traceback(stream: str) -> None:
    redirection = {"stdin": "<&-", "stdout": ">&-"}[stream]
    script = f'"$@" {redirection}'
    command = ["sh", "-c", script, "sh", *COMMAND, "generate", "-", "--max-tokens", "2", *SMALL]
    done = subprocess.run(command, input="hi", capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert "Traceback" not in done.stderr


def test_ctrl_c_while_the_program_is_loaded_is_no_traceback() -> None:
    script = """
import signal, sys

class CtrlC:
    def find_spec(self, name, *_):
        if name == "pydantic_settings":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
sys.argv = ["mcp-llama", "serve", "--port", "x"]
from mcp_llama.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
