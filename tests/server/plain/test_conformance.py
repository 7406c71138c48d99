"""The server does what its OpenAPI document says, whatever it is asked."""

from functools import partial
from typing import Any, cast

import pytest
import schemathesis
from anyio import to_thread
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as openapi_checks

from tests.server.plain.streams import Asker
from tests.server.plain.test_docs import ROUTES
from tests.server.plain.ways import Json
from tests.server.scene import Scene

SCENE = Scene(scripts={None: "fine"})
EXAMPLES = 60
SERVER: Any = checks
CONFORMANCE: Any = openapi_checks
CHECKS = [SERVER.not_a_server_error, CONFORMANCE.status_code_conformance, CONFORMANCE.content_type_conformance]
WITHOUT_ARGUMENTS = {"/v1/models", "/v1/models/{name}", "/health", "/metrics"}
CASES = [
    (path, method, mode)
    for path, methods in ROUTES.items()
    for method in sorted(methods)
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or path not in WITHOUT_ARGUMENTS
]


@pytest.mark.parametrize(("path", "method", "mode"), CASES, ids=lambda part: getattr(part, "value", part))
async def test_a_route_keeps_to_the_document(client: Asker, path: str, method: str, mode: GenerationMode) -> None:
    document = (await client.http.get(f"{client.url}/openapi.json")).json()
    statuses = await to_thread.run_sync(partial(ask_much, document, client.url, path, method, mode))
    assert sum(statuses.values()) >= 1
    # What breaks the document's rules is refused, but for what JSON and a query cannot tell apart.
    if mode is GenerationMode.NEGATIVE:
        assert statuses.get(200, 0) < EXAMPLES // 5


def ask_much(document: Json, url: str, path: str, method: str, mode: GenerationMode) -> dict[int, int]:
    """Ask a route many things, and check every response; how often each status came."""
    schema: Any = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=url)
    statuses: dict[int, int] = {}

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        response = case.call()
        statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
        # A stream is text to the document, and a list of events to the check.
        streams = response.headers.get("content-type", [""])[0].startswith("text/event-stream")
        case.validate_response(
            response, checks=CHECKS if streams else [*CHECKS, CONFORMANCE.response_schema_conformance]
        )

    cast(Any, ask)()
    return statuses
