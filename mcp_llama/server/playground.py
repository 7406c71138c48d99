"""The playground: the page at `/`, and its parts below `/playground`."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.exceptions import HTTPException

_FOLDER = Path(__file__).parent / "playground"
_PAGE = "index.html"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
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
    """The routes. The files are small, and are read once."""
    files = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}
    page = files.pop(_PAGE)

    async def index() -> Response:
        return _response(_PAGE, page)

    async def part(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return _response(name, files[name])

    router = APIRouter(include_in_schema=False)
    router.add_api_route("/", index, methods=["GET"])
    router.add_api_route("/playground/{name}", part, methods=["GET"])
    return router


def _response(name: str, content: bytes) -> Response:
    return Response(content, media_type=_TYPES[Path(name).suffix], headers=_HEADERS)
