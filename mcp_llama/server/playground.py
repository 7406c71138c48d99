"""The playground: the page at `/` and what belongs to it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

_FOLDER = Path(__file__).parent / "playground"
_FILES = {"/": "index.html", "/playground.js": "playground.js", "/playground.css": "playground.css"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def playground_router() -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)
    for path, name in _FILES.items():
        router.add_api_route(path, _serve(_FOLDER / name), methods=["GET"], response_class=FileResponse)
    return router


def _serve(file: Path) -> Callable[[], Awaitable[Response]]:
    async def serve() -> Response:
        return FileResponse(file, headers=_HEADERS)

    return serve
