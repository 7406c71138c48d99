"""The playground: the page at `/`, and its parts below `/playground`."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

_FOLDER = Path(__file__).parent / "playground"
_PARTS = {path.name: path for path in _FOLDER.iterdir() if path.suffix in (".js", ".css")}
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
    router.add_api_route("/", _page, methods=["GET"])
    router.add_api_route("/playground/{name}", _part, methods=["GET"])
    return router


async def _page() -> Response:
    return FileResponse(_FOLDER / "index.html", headers=_HEADERS)


async def _part(name: str) -> Response:
    if name not in _PARTS:
        raise HTTPException(404)
    return FileResponse(_PARTS[name], headers=_HEADERS)
