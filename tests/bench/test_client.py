"""The client process, and what it notes when a server misbehaves."""

import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

from mcp_llama.bench import openai_wire
from mcp_llama.bench.client import run_jobs
from mcp_llama.bench.http_door import HttpDoor
from mcp_llama.bench.job import Answer, Batch, Job, When, jobs_line, read_batch
from mcp_llama.bench.openai_wire import OpenAIWire
from mcp_llama.bench.stdio_door import StdioDoor
from tests.bench.fake_openai import MODEL, Manners, fake_openai

JOB = Job(prompt="Once", max_tokens=8, seed=1)
HEAVY = {
    "mcp",
    "mcp_types",
    "pydantic",
    "pydantic_settings",
    "httpx",
    "httpx2",
    "anyio",
    "asyncio",
    "numpy",
    "starlette",
}
EVENT = b'data: {"choices":[{"text":"a"}]}\n\n'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
PATIENCE_S = 0.05


@contextmanager
def talking(talk: Callable[[socket.socket], None]) -> Generator[HttpDoor]:
    """The door to a server that does as it is told with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection:
                    if not connection.recv(2**16):
                        return
                    talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        try:
            yield HttpDoor("127.0.0.1", port, "/v1", OpenAIWire(MODEL, ignore_eos=True), openai_wire.EVENT)
        finally:
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join()


def error_of(answer: Answer) -> str:
    assert answer.error is not None
    return answer.error


def test_the_client_imports_next_to_nothing() -> None:
    code = "import sys, mcp_llama.bench.client; print(*{name.split('.')[0] for name in sys.modules})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(out.split()) & HEAVY == set()


def test_the_client_process_answers_line_by_line() -> None:
    with fake_openai(Manners()) as url:
        port = int(url.rpartition(":")[2])
        place = {"host": "127.0.0.1", "port": port, "base": "/v1", "model": MODEL, "ignore_eos": True}
        given = json.dumps(place).encode() + b"\n" + jobs_line([JOB, JOB]) + jobs_line([JOB])
        done = subprocess.run(
            [sys.executable, "-m", "mcp_llama.bench.client"], input=given, capture_output=True, check=True
        )
    hello, *lines = done.stdout.splitlines()
    batches = [read_batch(line) for line in lines]
    assert hello == b"{}"
    assert [len(batch.answers) for batch in batches] == [2, 1]
    assert {(answer.text, answer.error) for batch in batches for answer in batch.answers} == {("a b c d", None)}
    assert isinstance(batches[0], Batch)


def test_a_slot_is_known_by_the_time_that_the_prompt_took() -> None:
    with fake_openai(Manners(prompt_ms=250.0)) as url:
        door = HttpDoor(
            "127.0.0.1", int(url.rpartition(":")[2]), "/v1", OpenAIWire(MODEL, ignore_eos=True), openai_wire.EVENT
        )
        (answer,) = run_jobs([JOB], door)
    assert answer.admitted == pytest.approx(answer.arrivals[0] - 0.25)


def test_a_server_that_falls_silent_is_given_up() -> None:
    gone = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.sendall(OK + EVENT)
        gone.wait()

    with talking(talk) as door:
        late = Job(prompt="", max_tokens=1, seed=1, start=When(((0, 9),)))
        first, second = run_jobs([JOB, late], door, PATIENCE_S)
        gone.set()
    assert error_of(first) == "the server fell silent"
    assert error_of(second) == "the server fell silent before the call began"


def test_a_connection_that_closes_too_early_is_an_error() -> None:
    with talking(lambda connection: connection.sendall(OK + EVENT)) as door:
        assert error_of(run_jobs([JOB], door)[0]) == "the stream broke off"
    with talking(lambda _: None) as door:
        assert error_of(run_jobs([JOB], door)[0])
    with talking(lambda connection: connection.sendall(b"nonsense\r\n\r\n")) as door:
        assert "makes no sense" in error_of(run_jobs([JOB], door)[0])


def test_a_connection_that_is_reset_is_an_error() -> None:
    def talk(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with talking(talk) as door:
        assert "the connection broke" in error_of(run_jobs([JOB], door)[0])


def test_an_error_status_is_told_with_its_reason() -> None:
    with talking(lambda connection: connection.sendall(b'HTTP/1.1 503 No\r\n\r\n{"error":{"message":"busy"}}')) as door:
        assert error_of(run_jobs([JOB], door)[0]) == "HTTP 503: busy"
    with talking(lambda connection: connection.sendall(b"HTTP/1.1 502 No\r\n\r\n<html>")) as door:
        assert error_of(run_jobs([JOB], door)[0]) == "HTTP 502: <html>"


def test_a_call_is_cancelled_after_so_many_tokens_by_closing_its_connection() -> None:
    closed = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.sendall(OK + 2 * EVENT)
        if not connection.recv(1):
            closed.set()

    with talking(talk) as door:
        job = Job(prompt="", max_tokens=9, seed=1, cancel=When(((0, 2),)))
        (answer,) = run_jobs([job], door)
    assert closed.is_set()
    assert answer.error is None
    assert answer.cancelled is not None
    assert answer.cancelled > answer.sent


SERVER = """
import json, sys
cancelled, seen = [], set()
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        cancelled.append(message["params"]["requestId"])
        continue
    number = message["id"]
    if message["params"]["arguments"]["prompt"] == "die" or number in seen:
        sys.exit()
    seen.add(number)
    progress = {"progressToken": number, "message": "a"}
    note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": progress}
    content = {"text": str(cancelled), "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    answer = {"jsonrpc": "2.0", "id": number, "result": {"structuredContent": content}}
    for value in [note] if message["params"]["arguments"]["prompt"] == "wait" else [note, answer]:
        print(json.dumps(value, separators=(",", ":")), flush=True)
"""


@contextmanager
def stdio() -> Generator[StdioDoor]:
    door = StdioDoor([sys.executable, "-c", SERVER])
    try:
        yield door
    finally:
        door.close()


def prompt(text: str, cancel: When | None = None) -> Job:
    return Job(prompt=text, max_tokens=1, seed=1, cancel=cancel)


def test_answers_over_stdio_find_their_jobs_in_every_batch() -> None:
    with stdio() as door:
        for _ in range(2):
            answers = run_jobs([prompt("go"), prompt("go")], door)
            assert [(answer.text, len(answer.arrivals), answer.error) for answer in answers] == [("[]", 1, None)] * 2


def test_a_call_over_stdio_is_cancelled_after_a_token() -> None:
    with stdio() as door:
        answers = run_jobs([prompt("wait", When(((0, 1),))), prompt("go")], door)
        assert answers[0].cancelled is not None
        assert answers[1].error is None
        assert run_jobs([prompt("go")], door)[0].text == "[0]"


def test_a_stdio_server_that_ends_fails_its_calls_and_all_later_ones() -> None:
    with stdio() as door:
        assert [error_of(answer) for answer in run_jobs([prompt("die"), prompt("wait")], door)] == [
            "the server ended"
        ] * 2
        assert error_of(run_jobs([prompt("go")], door)[0]) == "the server ended"


def test_a_stdio_server_that_falls_silent_is_given_up() -> None:
    with stdio() as door:
        assert error_of(run_jobs([prompt("wait")], door, PATIENCE_S)[0]) == "the server fell silent"
