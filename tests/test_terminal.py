import gc
import io
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcp_llama.api import ChatRequest, GenerateRequest, Limits, Message, OutputFormat
from mcp_llama.backends.local import LocalBackend
from mcp_llama.config import load_settings
from mcp_llama.engine.generation import Generation
from mcp_llama.engine.model import DecodeError, Rows
from mcp_llama.errors import ConfigError, EngineError, ModelLoadError, RequestError
from mcp_llama.settings.text import ChatSettings, GenerateSettings
from mcp_llama.terminal import run_chat, run_generate
from tests.backends.one_model import backend_of, pool_of
from tests.fake_model import CHAT_TEMPLATE, FakeModel
from tests.isolation import isolation

PATIENCE_S = 10
SPEED = r"(\d+) tokens · [\d.]+ tok/s · first token after \d+\.\d\d s · prompt (\d+) tokens \((\d+) cached\) · (\w+)"


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


class Backend(LocalBackend):
    """A LocalBackend over a FakeModel that keeps the requests it gets."""

    def __init__(self, model: FakeModel) -> None:
        super().__init__(pool_of("fake", lambda report: model))
        self.model = model
        self.asked: list[GenerateRequest | ChatRequest] = []

    async def generate(self, request: GenerateRequest) -> Generation:
        self.asked.append(request)
        return await super().generate(request)

    async def chat(self, request: ChatRequest) -> Generation:
        self.asked.append(request)
        return await super().chat(request)


@pytest.fixture
def backend() -> Backend:
    return Backend(FakeModel(n_ctx=4096))


def generate(backend: LocalBackend, *arguments: str) -> int:
    return run_generate(backend, load_settings(GenerateSettings, "generate", arguments))


def chat(backend: LocalBackend, *arguments: str) -> int:
    return run_chat(backend, load_settings(ChatSettings, "chat", arguments))


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def summary(line: str) -> tuple[str, ...]:
    """Completion tokens, prompt tokens, cached tokens and reason of the line about the speed."""
    found = re.fullmatch(SPEED, line)
    assert found is not None, line
    return found.groups()


def test_generate_prints_the_text_and_says_on_stderr_how_fast(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    backend.model.script("Once", ["upon", " a", " time"])
    assert generate(backend, "Once") == 0
    said = capsys.readouterr()
    assert said.out == "upon a time\n"
    assert summary(said.err.strip()) == ("3", "5", "0", "stop")
    assert backend.model.closed


def test_generate_reads_a_dash_from_stdin(
    backend: Backend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "line one\nline two")
    backend.model.script("line one\nline two", "three")
    assert generate(backend, "-") == 0
    assert capsys.readouterr().out == "three\n"


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
@pytest.mark.parametrize("command", ["generate", "chat"])
def test_bytes_on_stdin_that_are_no_text_are_refused(
    command: str, errors: str, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8", errors=errors))
    with pytest.raises(RequestError, match=r"^stdin is not valid UTF-8"):
        generate(backend, "-") if command == "generate" else chat(backend)


def test_bytes_on_the_command_line_that_are_no_text_are_refused(backend: Backend) -> None:
    typed = os.fsdecode(b"caf\xe9")
    with pytest.raises(RequestError, match=r"^prompt is not valid UTF-8"):
        generate(backend, typed)
    with pytest.raises(RequestError, match=r"^message is not valid UTF-8"):
        chat(backend, typed)
    with pytest.raises(RequestError, match=r"^system is not valid UTF-8"):
        chat(backend, "hi", "--system", typed)


def test_every_option_of_an_answer_reaches_the_request(backend: Backend, tmp_path: Path) -> None:
    flags = ["--max-tokens", "9", "--temperature", "0.25", "--top-p", "0.5", "--seed", "7", "--stop", "b", "--stop"]
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "integer"}')
    flags += ["a", "--sampling", "top_k=3", "--sampling", "ignore_eos=true", "--json-schema", str(schema)]
    assert generate(backend, "hi", *flags) == 0
    (asked,) = backend.asked
    assert asked.format == OutputFormat("json_schema", {"type": "integer"})
    assert asked.limits == Limits(max_tokens=9, stop=("b", "a"))
    expected = {"temperature": 0.25, "top_p": 0.5, "seed": 7, "top_k": 3, "ignore_eos": True}
    assert asked.sampling == expected
    of_the_command = {"prompt", "max_tokens", "temperature", "top_p", "seed", "stop", "sampling", "json_schema"}
    of_loading = {
        "model",
        "n_ctx",
        "n_slots",
        "n_cells",
        "n_batch",
        "n_threads",
        "n_gpu_layers",
        "no_mmap",
        "flash_attn",
        "type_k",
        "type_v",
        "rope_scaling",
        "rope_freq_base",
        "rope_freq_scale",
        "yarn_orig_ctx",
        "lora",
        "pooling",
    }
    assert set(GenerateSettings.model_fields) == of_the_command | of_loading | {"log_level", "config"}


def test_without_options_the_model_decides(backend: Backend) -> None:
    backend.model.script(None, "ok")
    assert generate(backend, "hi") == 0
    assert backend.asked[0].sampling == {}


def test_a_flag_beats_the_same_name_in_sampling(backend: Backend) -> None:
    backend.model.script(None, "ok")
    assert generate(backend, "hi", "--top-p", "0.5", "--sampling", "top_p=0.9") == 0
    assert backend.asked[0].sampling == {"top_p": 0.5}


def test_a_sampling_value_that_is_no_number_is_refused_before_loading(backend: Backend) -> None:
    with pytest.raises(RequestError, match=r"^--sampling top_k=many: the value must be a number, true or false\.$"):
        generate(backend, "hi", "--sampling", "top_k=many")
    assert backend.status().state == "unloaded"


def test_chat_answers_one_question_with_the_system_message(
    backend: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    backend.model.script("<system>Be brief.\n<user>Why?\n<assistant>", "Because.")
    assert chat(backend, "Why?", "--system", "Be brief.") == 0
    said = capsys.readouterr()
    assert said.out == "Because.\n"
    assert len(said.err.splitlines()) == 1


def test_a_conversation_sends_all_turns_and_ends_with_stdin(
    backend: Backend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "Why?\n\n   \nReally?\n")
    backend.model.script("<user>Why?\n<assistant>", "Because.")
    backend.model.script("<user>Why?\n<assistant>Because.\n<user>Really?\n<assistant>", "Yes.")
    assert chat(backend) == 0
    said = capsys.readouterr()
    assert said.out == "Because.\nYes.\n"
    question, answer = Message(role="user", content="Why?"), Message(role="assistant", content="Because.")
    again = Message(role="user", content="Really?")
    asked = [request.messages for request in backend.asked if isinstance(request, ChatRequest)]
    assert asked == [(question,), (question, answer, again)]
    hint, first, second, end = said.err.splitlines()
    assert hint == "Ctrl-C stops an answer, Ctrl-D ends the conversation."
    assert summary(first.removeprefix("> ")) == ("8", "23", "0", "stop")
    assert summary(second.removeprefix("> > > ")) == ("4", "57", "31", "stop")
    assert end == "> "


def warnings_of(act: Callable[[], None]) -> list[str]:
    """What Python complains of during `act` and when what it left behind is thrown away."""
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = set(threading.enumerate())
        act()
        # A thread that is about to end still holds what it worked on.
        for thread in set(threading.enumerate()) - before:
            thread.join(PATIENCE_S)
        gc.collect()
    return [str(warning.message) for warning in caught]


def interrupt_at(decode: int) -> Callable[[Rows], None]:
    """A fault that is none: Ctrl-C while a decode runs."""
    count = 0

    def fault(rows: Rows) -> None:
        nonlocal count
        count += 1
        if count == decode:
            os.kill(os.getpid(), signal.SIGINT)

    return fault


def test_ctrl_c_ends_an_answer_with_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    backend = Backend(FakeModel(n_ctx=4096, decode_delay=0.01))
    backend.model.fault = interrupt_at(3)
    assert generate(backend, "hi", "--max-tokens", "3000") == 130
    said = capsys.readouterr()
    count, _, _, reason = summary(said.err.strip())
    assert reason == "abort"
    assert len(said.out.strip("\n")) == int(count)
    assert 2 <= int(count) < 100


def test_ctrl_c_in_a_conversation_ends_the_answer_and_not_the_conversation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Backend(FakeModel(n_ctx=4096, decode_delay=0.01))
    backend.model.fault = interrupt_at(3)
    type_in(monkeypatch, "first\nsecond\n")
    assert chat(backend, "--max-tokens", "20") == 0
    reasons = re.findall(r"· (\w+)$", capsys.readouterr().err, re.MULTILINE)
    assert reasons == ["abort", "length"]


def test_ctrl_c_at_the_prompt_ends_the_conversation(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    assert chat(backend) == 0
    assert backend.asked == []


def test_ctrl_c_while_the_model_loads_ends_the_load_and_the_program(caplog: pytest.LogCaptureFixture) -> None:
    given_up: list[bool] = []

    def load(report: Callable[[float], bool]) -> FakeModel:
        os.kill(os.getpid(), signal.SIGINT)
        while report(0.5):
            pass
        given_up.append(True)
        raise ModelLoadError("cancelled")

    def interrupted() -> None:
        with pytest.raises(KeyboardInterrupt):
            generate(backend_of("slow", load), "hi")

    assert warnings_of(interrupted) == []
    assert given_up == [True]
    assert caplog.messages == []


def test_a_model_that_cannot_be_loaded_is_said_once_and_without_warnings() -> None:
    def load(report: Callable[[float], bool]) -> FakeModel:
        raise ModelLoadError("broken.gguf could not be loaded.")

    def refused() -> None:
        with pytest.raises(ModelLoadError, match=r"^broken\.gguf could not be loaded\.$"):
            generate(backend_of("broken", load), "hi")

    assert warnings_of(refused) == []


def test_a_failing_engine_is_an_error_and_frees_the_model(backend: Backend) -> None:
    backend.model.fault = lambda rows: DecodeError("out of luck") if len(backend.model.batches) > 2 else None
    with pytest.raises(EngineError, match="out of luck"):
        generate(backend, "hi")
    assert backend.model.closed


def test_a_terminal_shows_how_far_the_model_is(
    backend: Backend, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    backend.model.script(None, "ok")
    assert generate(backend, "hi") == 0
    said = capsys.readouterr()
    assert said.out == "ok\n"
    assert "Loading fake" in said.err


def reasoning_backend() -> Backend:
    """A backend whose model thinks before it answers."""
    backend = Backend(FakeModel(n_ctx=4096))
    backend.model.chat_template = f"{CHAT_TEMPLATE}{{# <think></think> #}}"
    backend.model.script(None, ["<thi", "nk>", "Let me ", "see [b]:-).", "</think>", "\n\n", "It is", " so."])
    return backend


def test_reasoning_is_no_part_of_the_answer_and_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    backend = reasoning_backend()
    assert chat(backend, "Why?") == 0
    said = capsys.readouterr()
    assert said.out == "It is so.\n"
    assert "Let me" not in said.err
    assert re.match(r"8 tokens \(5 reasoning\) · [\d.]+ tok/s · ", said.err), said.err


def test_a_terminal_shows_the_reasoning_dimmed_beside_the_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    backend = reasoning_backend()
    assert chat(backend, "Why?") == 0
    said = capsys.readouterr()
    assert said.out == "It is so.\n"
    shown = said.err[said.err.index("\x1b[2m") :]
    thought, _, rest = shown.partition("\n")
    assert re.sub(r"\x1b\[\d+m", "", thought) == "Let me see [b]:-)."
    assert thought.startswith("\x1b[2m")
    assert thought.endswith("\x1b[0m")
    assert rest.startswith("8 tokens (5 reasoning) · ")


def test_the_next_question_goes_with_the_reasoning_of_the_answer_before(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "Why?\nReally?\n")
    backend = reasoning_backend()
    assert chat(backend) == 0
    assert capsys.readouterr().out == "It is so.\nIt is so.\n"
    (_, again) = [request.messages for request in backend.asked if isinstance(request, ChatRequest)]
    assert again[1] == Message(role="assistant", content="It is so.", reasoning="Let me see [b]:-).")


def test_what_an_answer_lacks_is_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert chat(reasoning_backend(), "Why?", "--max-tokens", "3") == 0
    said = capsys.readouterr()
    assert said.out == "\n"
    _, note = said.err.splitlines()
    assert note.startswith("The answer is empty: max_tokens ended the reasoning.")


@pytest.mark.parametrize("command", ["generate", "chat"])
def test_an_answer_fits_the_schema_in_a_file(
    command: str, backend: Backend, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"enum": ["grün"]}', encoding="utf-8")
    backend.model.script(None, "I would rather not.")
    assert (generate if command == "generate" else chat)(backend, "Which?", "--json-schema", str(schema)) == 0
    assert capsys.readouterr().out == '"grün"\n'


@pytest.mark.parametrize("content", [None, b"{broken", b"\xff"])
def test_a_schema_that_cannot_be_read_is_refused_before_anything_begins(
    content: bytes | None, backend: Backend, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    schema = tmp_path / "schema.json"
    if content is not None:
        schema.write_bytes(content)
    refused = pytest.raises(ConfigError, match=r"^json_schema is '.*schema\.json', which cannot be read: ")
    with refused:
        generate(backend, "Which?", "--json-schema", str(schema))
    with refused:
        chat(backend, "--json-schema", str(schema))
    assert backend.status().state == "unloaded"
    assert capsys.readouterr().err == ""
