"""`generate` and `chat` with the embedded model."""

import os
import re
import signal
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command import COMMAND, PATIENCE_S, SMALL, Outcome, run_apart, run_here
from tests.isolation import isolation

PROMPT = "The capital of France is"
GREEDY = ("--max-tokens", "8", "--temperature", "0", *SMALL)
ENDLESS = ("--max-tokens", "4000", "--sampling", "ignore_eos=true", "--n-slots", "1", "--n-threads", "1")
SPEED = (
    r"(\d+) tokens(?: · [\d.]+ tok/s)? · first token after \d+\.\d\d s · prompt (\d+) tokens \((\d+) cached\) · (\w+)"
)


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


def speeds(text: str) -> list[tuple[str, str, str, str]]:
    """Completion tokens, prompt tokens, cached tokens and reason of each line about the speed."""
    return re.findall(SPEED, text)


@pytest.fixture(scope="module")
def greedy(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The most likely continuation of the prompt, from a process of its own."""
    with pytest.MonkeyPatch.context() as monkeypatch, isolation(monkeypatch, tmp_path_factory.mktemp("home")):
        return run_apart("generate", PROMPT, *GREEDY)


@contextmanager
def running(*arguments: str) -> Generator[subprocess.Popen[bytes]]:
    """A command that runs, with pipes; killed at the end if it is still there."""
    # Not left to the child: a shell that starts the tests in the background makes it ignore the signal.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    pipe = subprocess.PIPE
    try:
        with subprocess.Popen([*COMMAND, *arguments], stdin=pipe, stdout=pipe, stderr=pipe) as command:
            try:
                yield command
            finally:
                command.kill()
    finally:
        signal.signal(signal.SIGINT, previous)


def read_some(command: subprocess.Popen[bytes]) -> bytes:
    """Wait for the next piece of the answer."""
    assert command.stdout is not None
    return os.read(command.stdout.fileno(), 1000)


def test_generate_prints_the_text_alone_and_its_speed_on_stderr(greedy: Outcome) -> None:
    assert greedy.status == 0
    assert "Paris" in greedy.out
    assert greedy.out.endswith("\n")
    (line,) = greedy.err.splitlines()
    assert speeds(line) == [("8", "5", "0", "length")]
    assert " tok/s · " in line


def test_a_prompt_from_stdin_is_the_same_prompt(greedy: Outcome) -> None:
    piped = run_apart("generate", "-", *GREEDY, stdin=PROMPT)
    assert (piped.status, piped.out) == (0, greedy.out)


def test_at_temperature_zero_the_seed_makes_no_difference(greedy: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(capsys, "generate", PROMPT, *GREEDY, "--seed", "1").out == greedy.out


def test_the_same_seed_gives_the_same_text(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--max-tokens", "8", "--temperature", "2", "--sampling", "top_k=0", "--sampling", "min_p=0", *SMALL)
    first, again, other = (run_here(capsys, "generate", PROMPT, *flags, "--seed", seed) for seed in ("5", "5", "6"))
    assert first.status == 0
    assert again.out == first.out != other.out


def test_an_answer_ends_before_a_stop_string(greedy: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    stopped = run_here(capsys, "generate", PROMPT, *GREEDY, "--stop", "Paris")
    assert stopped.out == greedy.out.partition("Paris")[0] + "\n"
    assert speeds(stopped.err)[0][3] == "stop"


def test_other_sampling_options_reach_the_sampler(greedy: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--max-tokens", "8", "--temperature", "100", "--sampling", "top_k=1", *SMALL)
    assert run_here(capsys, "generate", PROMPT, *flags).out == greedy.out


def test_chat_answers_one_question(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_here(capsys, "chat", "What is the capital of France?", *GREEDY)
    assert (outcome.status, outcome.out.strip() != "") == (0, True)
    (line,) = outcome.err.splitlines()
    # The template adds a system message and the marks around each.
    assert speeds(line) == [("8", "37", "0", "length")]


def test_the_second_turn_of_a_conversation_reuses_the_first() -> None:
    outcome = run_apart("chat", *GREEDY, stdin="What is the capital of France?\nAnd of Spain?\n")
    assert outcome.status == 0
    turns = speeds(outcome.err)
    assert len(turns) == 2
    (_, prompt, cached, _), (_, _, cached_again, _) = turns
    assert cached == "0"
    assert int(cached_again) >= int(prompt)


def test_ctrl_c_ends_the_answer_with_the_text_so_far() -> None:
    with running("generate", PROMPT, *ENDLESS) as command:
        begun = read_some(command)
        assert begun
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 130
    assert (begun + out).endswith(b"\n")
    (line,) = err.decode().splitlines()
    ((count, _, _, reason),) = speeds(line)
    assert reason == "abort"
    assert 0 < int(count) < 4000


def test_ctrl_c_in_a_conversation_leaves_it_open() -> None:
    with running("chat", *ENDLESS) as command:
        assert command.stdin is not None
        command.stdin.write(b"Tell me a story.\n")
        command.stdin.flush()
        assert read_some(command)
        command.send_signal(signal.SIGINT)
        _, err = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 0
    assert [reason for _, _, _, reason in speeds(err.decode())] == ["abort"]
    assert err.decode().endswith("> \n")


def test_a_reader_that_leaves_ends_the_answer_without_a_complaint() -> None:
    with running("generate", PROMPT, *ENDLESS) as command:
        assert read_some(command)
        assert command.stdout is not None
        command.stdout.close()
        assert command.wait(PATIENCE_S) == 1
        assert command.stderr is not None
        assert command.stderr.read() == b""
