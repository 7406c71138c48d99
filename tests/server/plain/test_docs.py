"""`/docs` and `/openapi.json`: what the server says of itself, without help from anywhere else."""

import re
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urljoin

from tests.server.plain.streams import Asker
from tests.server.plain.ways import Json
from tests.server.scene import Scene

SCENE = Scene(scripts={None: "fine"})
ROUTES = {
    "/generate": {"post"},
    "/generate/stream": {"get", "post"},
    "/v1/completions": {"post"},
    "/v1/chat/completions": {"post"},
    "/v1/embeddings": {"post"},
    "/v1/models": {"get"},
    "/v1/models/{name}": {"get"},
    "/tokenize": {"post"},
    "/detokenize": {"post"},
    "/apply-template": {"post"},
    "/health": {"get"},
    "/metrics": {"get"},
}
ERROR = {"$ref": "#/components/schemas/ErrorsOut"}


async def test_the_page_needs_no_other_host(client: Asker) -> None:
    page = await client.http.get(f"{client.url}/docs")
    assert page.status_code == 200
    assert not re.search(r"https?:|//\w", page.text)
    parts = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page.text)
    assert len(parts) >= 4
    for part in map("".join, parts):
        response = await client.http.get(urljoin(f"{client.url}/docs", part))
        assert response.status_code == 200, part
        assert len(response.content) > 500


async def document_of(client: Asker) -> Json:
    response = await client.http.get(f"{client.url}/openapi.json")
    assert response.headers["content-type"] == "application/json"
    return response.json()


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in cast(Json, node).items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in cast(list[Any], node):
            yield from references(item)


async def test_the_document_has_every_route(client: Asker) -> None:
    document = await document_of(client)
    assert document["openapi"].startswith("3.")
    assert {path: set(methods) for path, methods in document["paths"].items()} == ROUTES
    assert all(operation["description"] for _, _, operation in operations(document))
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)


async def test_the_document_knows_every_status(client: Asker) -> None:
    for path, method, operation in operations(await document_of(client)):
        statuses = set(operation["responses"])
        assert "422" not in statuses
        assert {"200", "403", "421"} <= statuses
        if path not in ("/health", "/metrics"):
            assert {"400", "404", "413", "429", "500", "503"} <= statuses, (path, method)
        for status, response in operation["responses"].items():
            assert response["description"]
            if status != "200" and (path, status) != ("/health", "503"):
                assert response["content"] == {"application/json": {"schema": ERROR}}


async def test_the_document_refers_to_nothing_that_is_not_there(client: Asker) -> None:
    document = await document_of(client)
    schemas = document["components"]["schemas"]
    used = {name.removeprefix("#/components/schemas/") for name in references(document)}
    assert used <= set(schemas)
    assert not {name for name in schemas if "Validation" in name}


async def test_every_field_of_a_request_is_closed_to_unknown_names(client: Asker) -> None:
    schemas = (await document_of(client))["components"]["schemas"]
    requests = [schema for name, schema in schemas.items() if name.endswith("In")]
    assert len(requests) >= 7
    assert all(schema["additionalProperties"] is False for schema in requests)
