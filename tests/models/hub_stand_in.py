"""HubStandIn: what huggingface.co answers to those who download, over real HTTP, with its files on another origin."""

import hashlib
import json
import re
import sys
import threading
import traceback
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

PATIENCE_S = 30.0
"""How long a test, and a body that is held, wait before they give up."""
_SIGNED = "X-Signature=abc123"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent to the hub, or to the origin of its files."""

    origin: str
    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer instead of what was asked for."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b'{"error": "refused"}'


@dataclass(slots=True)
class HubRepo:
    """A repository: its files, and what its metadata claim of them where that is not the truth."""

    files: dict[str, bytes]
    commit: str = "c" * 40
    revisions: set[str] = field(default_factory=lambda: {"main"})
    claimed_sha256: dict[str, str] = field(default_factory=dict[str, str])
    claimed_size: dict[str, int] = field(default_factory=dict[str, int])
    without_lfs: set[str] = field(default_factory=set[str])
    without_sizes: bool = False
    is_gated: bool = False
    is_private: bool = False
    moved_to: str | None = None
    warning: str | None = None

    def sha256(self, path: str) -> str:
        return self.claimed_sha256.get(path) or hashlib.sha256(self.files[path]).hexdigest()

    def size(self, path: str) -> int:
        return self.claimed_size.get(path) or len(self.files[path])

    def sibling(self, path: str) -> dict[str, object]:
        if self.without_sizes:
            return {"rfilename": path}
        lfs = {"sha256": self.sha256(path), "size": self.size(path), "pointerSize": 135}
        known: dict[str, object] = {"rfilename": path, "size": self.size(path), "blobId": "b" * 40}
        return known if path in self.without_lfs else {**known, "lfs": lfs}


class Hold:
    """Holds a body after some bytes until the test lets it go."""

    def __init__(self, after: int) -> None:
        self.after = after
        self._held = threading.Event()
        self._released = threading.Event()

    def wait_until_held(self) -> None:
        assert self._held.wait(PATIENCE_S), "no body came so far"

    def release(self) -> None:
        self._released.set()

    def pass_by(self) -> None:
        self._held.set()
        self._released.wait(PATIENCE_S)


class HubStandIn:
    """The hub. Everything about it may be changed between two requests."""

    def __init__(self) -> None:
        self.repos: dict[str, HubRepo] = {}
        self.members = {"hf_member"}
        """Tokens of those who may read what is gated or private."""
        self.strangers = {"hf_stranger"}
        self.requests: list[Request] = []
        self.refusals: dict[str, list[Refusal]] = {}
        """By the end of a path: the next answers to it."""
        self.cuts: dict[str, list[int]] = {}
        """By the name of a file: after how many bytes the next bodies break off."""
        self.holds: dict[str, Hold] = {}
        self.ignores_ranges = False
        self._hub = _Server(self, "hub")
        self._files = _Server(self, "files")

    @property
    def url(self) -> str:
        return self._hub.url

    @property
    def files_url(self) -> str:
        return self._files.url

    def ranges(self, name: str) -> list[str | None]:
        """What was asked of a file, by each request that came to the origin of the files."""
        asked = [request for request in self.requests if request.origin == "files" and name in request.path]
        return [request.headers.get("Range") for request in asked]

    def close(self) -> None:
        for hold in self.holds.values():
            hold.release()
        self._hub.close()
        self._files.close()


@contextmanager
def hub_stand_in() -> Generator[HubStandIn]:
    hub = HubStandIn()
    try:
        yield hub
    finally:
        hub.close()


class _Server:
    def __init__(self, hub: HubStandIn, origin: str) -> None:
        answer = _answer_as_hub if origin == "hub" else _answer_as_files

        class Handler(_Handler):
            def do_GET(self) -> None:
                request = Request(origin, self.command, self.path, dict(self.headers.items()))
                hub.requests.append(request)
                for end, refusals in hub.refusals.items():
                    if urlsplit(self.path).path.endswith(end) and refusals:
                        return self.refuse(refusals.pop(0))
                return answer(hub, request, self)

            def do_HEAD(self) -> None:
                self.do_GET()

        self._server = _Sockets(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Sockets(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        # A client that left in the middle is what some tests are about.
        if not isinstance(sys.exception(), ConnectionError):
            traceback.print_exc()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def refuse(self, refusal: Refusal) -> None:
        self.reply(refusal.status, refusal.headers, refusal.body)

    def reply(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reply_json(self, value: object, headers: Mapping[str, str] | None = None) -> None:
        self.reply(HTTPStatus.OK, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode())


def _answer_as_hub(hub: HubStandIn, request: Request, handler: _Handler) -> None:
    parts = urlsplit(request.path)
    path = unquote(parts.path)
    if path == "/api/models":
        return handler.reply_json(_search(hub, parts.query))
    if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
        return _answer_info(hub, request, handler, found[1], found[2] or "main")
    if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
        return _answer_resolve(hub, request, handler, found[1], found[3])
    return handler.refuse(Refusal(404))


def _search(hub: HubStandIn, query: str) -> list[dict[str, str]]:
    asked = parse_qs(query)
    assert asked["filter"] == ["gguf"]
    words = asked["search"][0].lower()
    with_gguf = [name for name, repo in hub.repos.items() if any(path.endswith(".gguf") for path in repo.files)]
    return [{"id": name} for name in with_gguf if words in name.lower()]


def _answer_info(hub: HubStandIn, request: Request, handler: _Handler, name: str, revision: str) -> None:
    repo = hub.repos.get(name)
    if (refusal := _refusal(hub, request, repo, is_download=False)) is not None:
        return handler.refuse(refusal)
    assert repo is not None
    if repo.moved_to is not None:
        return handler.reply(307, {"Location": f"/api/models/{repo.moved_to}?{urlsplit(request.path).query}"})
    if revision not in repo.revisions:
        return handler.refuse(Refusal(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"}))
    assert "blobs" in urlsplit(request.path).query
    siblings = [repo.sibling(path) for path in repo.files]
    value = {"id": name, "sha": repo.commit, "private": repo.is_private, "siblings": siblings}
    return handler.reply_json(value, {"X-HF-Warning": repo.warning} if repo.warning else {})


def _answer_resolve(hub: HubStandIn, request: Request, handler: _Handler, name: str, path: str) -> None:
    repo = hub.repos.get(name)
    if (refusal := _refusal(hub, request, repo, is_download=True)) is not None:
        return handler.refuse(refusal)
    assert repo is not None
    if path not in repo.files:
        return handler.refuse(Refusal(404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}))
    headers = {
        "Location": f"{hub.files_url}/{quote(name)}/{quote(path)}?{_SIGNED}",
        "X-Repo-Commit": repo.commit,
        "X-Linked-Size": str(repo.size(path)),
        "X-Linked-ETag": f'"{repo.sha256(path)}"',
    }
    return handler.reply(302, headers)


def _refusal(hub: HubStandIn, request: Request, repo: HubRepo | None, *, is_download: bool) -> Refusal | None:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token and token not in hub.members | hub.strangers:
        message = "Invalid credentials in Authorization header"
        return Refusal(401, {"X-Error-Message": message}, json.dumps({"error": message}).encode())
    if repo is None or (repo.is_private and token not in hub.members):
        headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
        return Refusal(404 if token else 401, headers)
    if repo.is_gated and is_download and token not in hub.members:
        return Refusal(403 if token else 401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
    return None


def _answer_as_files(hub: HubStandIn, request: Request, handler: _Handler) -> None:
    parts = urlsplit(request.path)
    assert parts.query == _SIGNED
    owner, repo, path = unquote(parts.path).removeprefix("/").split("/", 2)
    content = hub.repos[f"{owner}/{repo}"].files[path]
    asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
    if asked is None or hub.ignores_ranges:
        status, headers, body = 200, {}, content
    elif int(asked[1]) >= len(content):
        return handler.refuse(Refusal(416, {"Content-Range": f"bytes */{len(content)}"}))
    else:
        first, last = int(asked[1]), min(int(asked[2]), len(content) - 1)
        status, headers = 206, {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        body = content[first : last + 1]
    return _send(hub, handler, path, status, {**headers, "Content-Length": str(len(body))}, body)


def _send(hub: HubStandIn, handler: _Handler, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    cuts, hold = hub.cuts.get(path, []), hub.holds.get(path)
    cut = cuts.pop(0) if cuts else None
    if cut is None and hold is None:
        return handler.reply(status, headers, body)
    handler.reply(status, headers, body[: cut if cut is not None else hold.after if hold else 0])
    if cut is not None:
        handler.close_connection = True
    elif hold is not None:
        hold.pass_by()
        handler.wfile.write(body[hold.after :])
    return None
