"""`/health` and `/metrics`, by which an operator's machinery sees how the server is."""

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from pydantic import BaseModel

from mcp_llama.backends.backend import Backend
from mcp_llama.server.openapi import GUARD_FAILURES, Responses

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HealthOut(BaseModel):
    """How the default model is; `loaded` goes from 0 to 1, `error` says why it failed.

    One that nobody used for long may be unloaded: the next request loads it.
    """

    status: Literal["unloaded", "loading", "ready", "failed"]
    model: str
    loaded: float
    error: str | None = None


class StatusRoutes:
    """The routes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)

    def router(self) -> APIRouter:
        """All of them."""
        router = APIRouter(tags=["status"], responses=GUARD_FAILURES)
        not_ready: Responses = {503: {"model": HealthOut, "description": "Not ready."}}
        router.add_api_route("/health", self.health, methods=["GET"], response_model=HealthOut, responses=not_ready)
        text: Responses = {
            200: {"description": "All of them.", "content": {"text/plain": {"schema": {"type": "string"}}}}
        }
        # Some machinery that watches servers asks for no body.
        router.add_api_route("/health", self.health, methods=["HEAD"], include_in_schema=False)
        router.add_api_route("/metrics", self.metrics, methods=["GET"], response_class=Response, responses=text)
        return router

    async def health(self) -> Response:
        """200 once the model can answer."""
        status = self._backend.status()
        body = HealthOut(status=status.state, model=status.name, loaded=status.loaded, error=status.error)
        return JSONResponse(body.model_dump(exclude_none=True), 200 if status.state in ("ready", "unloaded") else 503)

    async def metrics(self) -> Response:
        """Counters and histograms in Prometheus' text format: the engine's, then memory, CPU and files."""
        body = generate_latest(self._backend.metrics) + generate_latest(self._process)
        return Response(body, media_type=_METRICS_TYPE)
