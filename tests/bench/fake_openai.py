"""A server with OpenAI's API and no model, which may lack what a benchmark needs."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

MODEL = "fake-model"


@dataclass(slots=True)
class Manners:
    """How the server behaves, and what it was asked."""

    has_usage: bool = True
    knows_ignore_eos: bool = True
    stops_after: int | None = None
    """Completions that are served whole; of later ones it sends the half."""
    text: str = "a b c d"
    prompt_ms: float | None = None
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


class _Handler(BaseHTTPRequestHandler):
    manners: Manners

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            self._send(404, "text/plain", "")
            return
        self._send(200, "application/json", json.dumps({"data": [{"id": MODEL}]}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.manners.asked.append(body)
        if body.get("ignore_eos") and not self.manners.knows_ignore_eos:
            self._send(400, "application/json", json.dumps({"error": {"message": "ignore_eos: unknown field"}}))
            return
        events = [*_chunks(self.manners), "[DONE]"]
        limit = self.manners.stops_after
        if limit is not None and len(self.manners.asked) > limit:
            events = events[:2]
        self._send(200, "text/event-stream", "".join(f"data: {event}\n\n" for event in events))

    def _send(self, status: int, kind: str, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _chunks(manners: Manners) -> list[str]:
    words = manners.text.split(" ")
    pieces = [word if number == 0 else f" {word}" for number, word in enumerate(words)]
    chunks: list[dict[str, Any]] = [{"choices": [{"text": piece}], "usage": None} for piece in pieces]
    if manners.prompt_ms is not None:
        chunks[-1]["timings"] = {"prompt_ms": manners.prompt_ms}
    if manners.has_usage:
        # One event may hold several tokens.
        chunks.append({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2 * len(pieces)}})
    return [json.dumps(chunk) for chunk in chunks]


@contextmanager
def fake_openai(manners: Manners) -> Generator[str]:
    """The server on a free port; its URL."""
    handler = type("Handler", (_Handler,), {"manners": manners})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
