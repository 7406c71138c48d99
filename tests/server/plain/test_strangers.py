"""Who may come in: what a browser says of where a request comes from, on every route."""

from pathlib import Path

import httpx2
import pytest

from mcp_llama.server import playground
from mcp_llama.server.security import AppSecurity
from tests.server.plain.streams import Asker, asker
from tests.server.plain.ways import Json
from tests.server.scene import Scene
from tests.server.serving import staged

SCENE = Scene(scripts={None: "fine"})
FRIEND = "https://app.example"
FRIENDLY = AppSecurity(allowed_hosts=["llama.example:*"], allowed_origins=[FRIEND])
PARTS = [path.name for path in Path(playground.__file__).with_suffix("").iterdir() if path.suffix != ".html"]
PAGES = [
    "/",
    *(f"/playground/{name}" for name in PARTS),
    "/docs",
    "/static-offline-docs/swagger-ui.css",
    "/openapi.json",
]
STATUS = ["/health", "/metrics", "/v1/models", "/v1/models/fake"]
MESSAGE = {"role": "user", "content": "x"}
POSTS: dict[str, Json] = {
    "/generate": {"prompt": "x"},
    "/generate/stream": {"prompt": "x"},
    "/v1/completions": {"prompt": "x"},
    "/v1/chat/completions": {"messages": [MESSAGE]},
    "/v1/embeddings": {"input": "x"},
    "/tokenize": {"content": "x"},
    "/detokenize": {"tokens": [1]},
    "/apply-template": {"messages": [MESSAGE]},
}
STREAM = "/generate/stream?prompt=x"
GETS = [*PAGES, *STATUS, STREAM]
ROUTES = [*(("GET", path) for path in [*GETS, "/nowhere"]), *(("POST", path) for path in POSTS)]

every_route = pytest.mark.parametrize(("method", "path"), ROUTES)


async def send(client: Asker, method: str, path: str, **headers: str) -> httpx2.Response:
    request = client.http.build_request(
        method, f"{client.url}{path}", json=POSTS.get(path) if method == "POST" else None
    )
    request.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return await client.http.send(request)


@every_route
async def test_a_name_that_was_pointed_at_this_machine_leads_nowhere(client: Asker, method: str, path: str) -> None:
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "llama.example:80"):
        response = await send(client, method, path, Host=host)
        assert response.status_code == 421
        assert response.json()["error"]["type"] == "permission_error"


@every_route
async def test_the_script_of_another_site_is_turned_away(client: Asker, method: str, path: str) -> None:
    for origin in ("https://evil.example", "http://127.0.0.1.evil.example", "null", FRIEND):
        response = await send(client, method, path, Origin=origin, Sec_Fetch_Site="cross-site")
        assert response.status_code == 403
        assert response.json()["error"]["type"] == "permission_error"
        assert "access-control-allow-origin" not in response.headers


@every_route
async def test_own_pages_and_other_programs_are_let_in(client: Asker, method: str, path: str) -> None:
    port = client.url.rpartition(":")[2]
    own: list[dict[str, str]] = [{}, {"Sec_Fetch_Site": "none"}, {"Sec_Fetch_Site": "same-origin"}]
    own += [{"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}", "Sec_Fetch_Site": "same-origin"}]
    for headers in own:
        assert (await send(client, method, path, **headers)).status_code == (404 if path == "/nowhere" else 200)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("mode", ["no-cors", "navigate"])
async def test_another_site_cannot_make_the_model_work_by_a_link_or_an_image(site: str, mode: str) -> None:
    async with staged(SCENE) as (stage, url), asker(url) as client:
        response = await send(client, "GET", STREAM, Sec_Fetch_Site=site, Sec_Fetch_Mode=mode)
        assert response.status_code == 403
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
        assert stage.decodes() == 0


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_person_may_follow_a_link_from_another_site(client: Asker, path: str) -> None:
    response = await send(client, "GET", path, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(("method", "path"), [("GET", STREAM), *(("POST", path) for path in POSTS)])
async def test_a_site_that_was_named_may_use_what_the_model_gives(method: str, path: str) -> None:
    async with staged(SCENE, FRIENDLY) as (_, url), asker(url) as client:
        headers = {"Origin": FRIEND, "Sec_Fetch_Site": "cross-site", "Host": "llama.example:8080"}
        response = await send(client, method, path, **headers)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == FRIEND
        assert "retry-after" in response.headers["access-control-expose-headers"].lower()
        wrong = await client.http.post(f"{url}{path.partition('?')[0]}", json={"no": 1}, headers={"Origin": FRIEND})
        assert wrong.status_code == 400
        assert wrong.headers["access-control-allow-origin"] == FRIEND, "its script must be able to read what is wrong"
        stranger = await send(client, method, path, Origin="https://evil.example", Sec_Fetch_Site="cross-site")
        assert stranger.status_code == 403
        assert "access-control-allow-origin" not in stranger.headers


async def test_a_site_that_was_named_may_ask_beforehand() -> None:
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    async with staged(SCENE, FRIENDLY) as (_, url), asker(url) as client:
        for path in POSTS:
            friend = await client.http.options(f"{url}{path}", headers={"Origin": FRIEND, **preflight})
            assert friend.status_code == 200
            assert friend.headers["access-control-allow-origin"] == FRIEND
            assert "content-type" in friend.headers["access-control-allow-headers"]
            stranger = await client.http.options(
                f"{url}{path}", headers={"Origin": "https://evil.example", **preflight}
            )
            assert stranger.status_code == 400
            assert "access-control-allow-origin" not in stranger.headers


async def test_a_page_of_this_server_may_use_it_under_every_name_that_was_allowed() -> None:
    security = AppSecurity(allowed_hosts=["llama.example:*"])
    async with staged(SCENE, security) as (_, url), asker(url) as client:
        for host, origin, status in (
            ("llama.example:8080", "http://llama.example:8080", 200),
            ("llama.example:8080", "http://llama.example:8081", 403),
            ("llama.example:8080", "http://llama.example", 403),
            ("llama.example:8080", "http://evil.example:8080", 403),
            ("evil.example:8080", "http://evil.example:8080", 421),
        ):
            response = await send(client, "GET", STREAM, Host=host, Origin=origin, Sec_Fetch_Site="same-origin")
            assert response.status_code == status, (host, origin)


async def test_what_is_named_by_its_port_is_let_in_on_that_port_alone() -> None:
    security = AppSecurity(allowed_hosts=["llama.example:8080"], allowed_origins=["http://app.example:3000"])
    async with staged(SCENE, security) as (_, url), asker(url) as client:
        for host, origin, status in (
            ("llama.example:8080", "http://app.example:3000", 200),
            ("llama.example:8081", "http://app.example:3000", 421),
            ("llama.example", "http://app.example:3000", 421),
            ("llama.example:8080", "http://app.example:3001", 403),
            ("llama.example:8080", "https://app.example:3000", 403),
        ):
            response = await send(client, "GET", STREAM, Host=host, Origin=origin)
            assert response.status_code == status
