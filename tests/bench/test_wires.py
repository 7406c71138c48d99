import json
from typing import Any

import pytest

from mcp_llama.bench.http_wire import Piece, post, read_response
from mcp_llama.bench.job import Answer, Job, Usage
from mcp_llama.bench.mcp_wire import McpWire
from mcp_llama.bench.openai_wire import OpenAIWire, error_text

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
JOB = Job(prompt="Once", max_tokens=9, seed=3)
SCHEMA_JOB = Job(prompt="Once", max_tokens=9, seed=3, schema={"type": "object"})


def events(*values: Any) -> list[Piece]:
    """Values as events, a second apart."""
    return [
        (float(second), value if isinstance(value, bytes) else json.dumps(value).encode())
        for second, value in enumerate(values, 1)
    ]


def test_an_event_has_the_time_of_its_last_byte() -> None:
    pieces = [(1.0, HEAD + b"\r\ndata: on"), (2.0, b"e\n\ndata: two\n\nda"), (3.0, b"ta: three\n\n")]
    assert read_response(pieces).events == ((2.0, b"one"), (2.0, b"two"), (3.0, b"three"))
    assert read_response([(1.0, HEAD + b"\r\ndata: one"), (2.0, b"\n\n")]).events == ((2.0, b"one"),)


def test_chunks_are_put_together_with_their_times() -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    pieces = [(1.0, head + b"8\r\ndata: on\r\n"), (2.0, b"10\r\ne\r\n\r\ndata: two\r\n\r"), (3.0, b"\n0\r\n\r\n")]
    response = read_response(pieces)
    assert response.events == ((2.0, b"one"), (2.0, b"two"))
    assert response.body.startswith(b"data: one\r\n")


def test_a_body_that_is_no_stream_is_one_event() -> None:
    response = read_response([(1.0, b"HTTP/1.1 404 Not Found\r\n\r\n{"), (2.0, b"}")])
    assert (response.status, response.events) == (404, ((2.0, b"{}"),))


def test_a_broken_event_at_the_end_is_none() -> None:
    assert read_response([(1.0, HEAD + b"\r\ndata: one\n\ndata: tw")]).events == ((1.0, b"one"),)


@pytest.mark.parametrize("pieces", [[], [(1.0, b"HTTP/1.1 200 OK\r\nContent-")], [(1.0, b"nonsense\r\n\r\n")]])
def test_what_is_no_response_is_refused(pieces: list[Piece]) -> None:
    with pytest.raises(ValueError, match=r"before the response|invalid literal"):
        read_response(pieces)


def test_a_request_tells_its_length_and_closes() -> None:
    head, _, body = post("host:1", "/path", "é".encode(), {"Accept": "x"}).partition(b"\r\n\r\n")
    assert body == "é".encode()
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /path HTTP/1.1"
    assert {"Host: host:1", "Connection: close", "Content-Length: 2", "Accept: x"} <= set(lines)


def chunk(text: str, **more: Any) -> dict[str, Any]:
    return {"choices": [{"text": text}], **more}


def test_tokens_are_counted_by_usage_and_not_by_events() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 2}}
    answer = OpenAIWire("m", ignore_eos=True).answer(
        0.5, events(chunk("a"), chunk("bcd"), chunk("", timings={"prompt_ms": 250.0}), {"usage": usage}, b"[DONE]")
    )
    assert answer == Answer(
        sent=0.5, arrivals=(1.0, 2.0), text="abcd", usage=Usage(prompt=5, completion=9, cached=2), admitted=0.75
    )


def test_a_server_without_usage_is_refused() -> None:
    answer = OpenAIWire("m", ignore_eos=True).answer(0.0, events(chunk("a"), b"[DONE]"))
    assert answer.usage is None
    assert answer.error is not None
    assert "no usage" in answer.error


def test_a_stream_that_breaks_off_is_an_error() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 9}
    assert OpenAIWire("m", ignore_eos=True).answer(0.0, events(chunk("a"), chunk("b", usage=usage))).error is not None
    assert OpenAIWire("m", ignore_eos=True).answer(0.0, []).error is not None


def test_an_error_in_a_stream_is_told() -> None:
    answer = OpenAIWire("m", ignore_eos=True).answer(0.0, events(chunk("a"), {"error": {"message": "no memory"}}))
    assert answer.error == "no memory"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "bad"}}, "bad"),
        ({"error": "bad"}, "bad"),
        ({"message": "bad"}, "bad"),
        ({"detail": "bad"}, "{'detail': 'bad'}"),
        ("bad", "bad"),
    ],
)
def test_errors_are_told_in_the_words_of_the_server(body: Any, text: str) -> None:
    assert error_text(body) == text


def test_a_request_for_a_completion_has_its_whole_length_and_asks_for_usage() -> None:
    body = json.loads(OpenAIWire("m", ignore_eos=True).body(0, JOB))
    assert body["stream_options"] == {"include_usage": True}
    assert (body["model"], body["seed"], body["temperature"], body["ignore_eos"]) == ("m", 3, 0.8, True)
    assert "ignore_eos" not in json.loads(OpenAIWire("m", ignore_eos=False).body(0, JOB))
    with_schema = json.loads(OpenAIWire("m", ignore_eos=True).body(0, SCHEMA_JOB))
    assert "ignore_eos" not in with_schema
    assert with_schema["response_format"]["json_schema"]["schema"] == {"type": "object"}


def progress(text: str | None) -> dict[str, Any]:
    return {"method": "notifications/progress", "params": {"progressToken": 1, **({"message": text} if text else {})}}


def test_an_mcp_call_is_counted_by_its_result() -> None:
    content = {"text": "ab", "usage": {"prompt_tokens": 5, "completion_tokens": 9}}
    timings = {"queue_ms": 100.0, "ttft_ms": 600.0, "cached_tokens": 4}
    result = {"structuredContent": content, "_meta": {"mcp-llama/timings": timings}}
    answer = McpWire().answer(0.5, events(progress(None), progress("a"), progress("b"), {"id": 1, "result": result}))
    assert answer == Answer(
        sent=0.5, arrivals=(2.0, 3.0), text="ab", usage=Usage(prompt=5, completion=9, cached=4), admitted=1.5
    )


@pytest.mark.parametrize(
    ("last", "error"),
    [
        ({"error": {"message": "no"}}, "no"),
        ({"result": {"isError": True, "content": [{"text": "busy"}]}}, "busy"),
        (progress("b"), "the stream ended without a result"),
    ],
)
def test_an_mcp_call_that_fails_says_why(last: dict[str, Any], error: str) -> None:
    assert McpWire().answer(0.0, events(progress("a"), last)).error == error


def test_an_mcp_call_wants_progress_and_its_whole_length() -> None:
    params = json.loads(McpWire().body(7, JOB))["params"]
    assert params["_meta"]["progressToken"] == 7
    assert params["arguments"]["sampling"] == {"ignore_eos": True}
    assert params["arguments"]["seed"] == 3
    with_schema = json.loads(McpWire().body(7, SCHEMA_JOB))["params"]["arguments"]
    assert with_schema["json_schema"] == {"type": "object"}
    assert "sampling" not in with_schema
