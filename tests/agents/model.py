"""A model that follows a script: an HTTP server that a coding agent takes for the one it asks."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.agents.dialects import DIALECTS, Body, Call, Dialect, Event

LAST_WORDS = "Both servers have answered."


class ScriptedModel(ThreadingHTTPServer):
    """Calls `generate` of each MCP server with the arguments, one after the other, and then has its last words.

    `results` is what the agent has told it of its calls.
    """

    daemon_threads = True

    def __init__(self, servers: tuple[str, ...], arguments: Body) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.servers = servers
        self.arguments = arguments
        self.results: list[str] = []

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        return f"http://127.0.0.1:{self.server_port}"

    def turn(self, dialect: Dialect, body: Body) -> Call | str:
        """What it says next."""
        offered, results = dialect.tools(body), dialect.results(body)
        if not offered:
            # Agents have other questions too, such as for the title of the conversation.
            return "A title"
        self.results = results
        if len(results) == len(self.servers):
            return LAST_WORDS
        server = self.servers[len(results)]
        tool = next((name for name in offered if server in name and name.endswith("_generate")), None)
        return Call(tool, self.arguments) if tool else f"{server} has no generate among {offered}."


@contextmanager
def scripted_model(servers: tuple[str, ...], arguments: Body) -> Generator[ScriptedModel]:
    """Let a model answer."""
    with ScriptedModel(servers, arguments) as model:
        thread = threading.Thread(target=model.serve_forever)
        thread.start()
        try:
            yield model
        finally:
            model.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = urlsplit(self.path).path
        dialect = next((dialect for end, dialect in DIALECTS.items() if path.endswith(end)), None)
        if dialect is None:
            self.send_error(404)
            return
        assert isinstance(self.server, ScriptedModel)
        events = dialect.answer(body, self.server.turn(dialect, body))
        stream = "".join([*map(_written, events), "data: [DONE]\n\n"]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(stream)))
        self.end_headers()
        self.wfile.write(stream)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: what matters is in the model."""


def _written(event: Event) -> str:
    name, data = event
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}\n\n"
