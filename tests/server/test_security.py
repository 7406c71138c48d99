"""Who may come in by HTTP."""

import httpx2
import pytest

from mcp_llama.server.security import AppSecurity
from tests.server.client import Era
from tests.server.raw import RawHttp, initialize, plain_http, raw_http, raw_sse, request, tool_call
from tests.server.scene import Scene
from tests.server.serving import every_era, staged

SCENE = Scene(scripts={None: "fine"})
FRIENDLY = AppSecurity(allowed_hosts=["llama.example:*"], allowed_origins=["https://app.example"])


def first_message(era: Era) -> dict[str, object]:
    return initialize(1) if era == "legacy" else request("modern", 1, "tools/list", {})


async def post(url: str, era: Era, **headers: str) -> httpx2.Response:
    """The response to a client's first message with these headers."""
    async with plain_http() as http:
        client = RawHttp(http, url, era)
        message = first_message(era)
        return await http.post(client.url, json=message, headers={**client.headers(message), **headers})


@every_era
async def test_the_addresses_of_this_machine_are_let_in(era: Era) -> None:
    async with staged(SCENE) as (_, url):
        port = url.rpartition(":")[2]
        for name in ("127.0.0.1", "localhost", "[::1]"):
            for host, origin in ((f"{name}:{port}", f"http://{name}:3000"), (name, f"http://{name}")):
                assert (await post(url, era, Host=host, Origin=origin)).status_code == 200


@every_era
async def test_a_foreign_host_is_refused(era: Era) -> None:
    # A page whose name was pointed at this machine sends its own name.
    async with staged(SCENE) as (_, url):
        for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example:80"):
            assert (await post(url, era, Host=host)).status_code == 421


@every_era
async def test_a_foreign_origin_is_refused(era: Era) -> None:
    async with staged(SCENE) as (_, url):
        for origin in ("https://evil.example", "http://localhost.evil.example:80", "null"):
            response = await post(url, era, Origin=origin)
            assert response.status_code == 403
            assert "access-control-allow-origin" not in response.headers


async def test_the_sse_transport_refuses_the_same_strangers() -> None:
    async with staged(SCENE) as (_, url), plain_http() as http:
        assert (await http.get(f"{url}/sse", headers={"Host": "evil.example"})).status_code == 421
        assert (await http.get(f"{url}/sse", headers={"Origin": "https://evil.example"})).status_code == 403
        async with raw_sse(url, "legacy") as client:
            for headers, status in (({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403)):
                message = tool_call("legacy", 1, "generate", {"prompt": "x"})
                assert (await http.post(client.url, json=message, headers=headers)).status_code == status


@every_era
async def test_hosts_and_origins_that_were_named_are_let_in(era: Era) -> None:
    async with staged(SCENE, FRIENDLY) as (_, url):
        response = await post(url, era, Host="llama.example:8080", Origin="https://app.example")
        assert response.status_code == 200
        assert (await post(url, era, Host="llama.example")).status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://app.example"
        assert "mcp-session-id" in response.headers["access-control-expose-headers"].lower()
        assert (await post(url, era, Host="other.example:8080")).status_code == 421
        assert (await post(url, era, Origin="https://other.example")).status_code == 403
        assert (await post(url, era)).status_code == 200


async def test_a_browser_is_told_beforehand_what_it_may_send() -> None:
    preflight = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,mcp-protocol-version,mcp-method,mcp-name,mcp-session-id",
    }
    async with staged(SCENE, FRIENDLY) as (_, url), plain_http() as http:
        allowed = await http.options(f"{url}/mcp", headers=preflight)
        refused = await http.options(f"{url}/mcp", headers={**preflight, "Origin": "https://evil.example"})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    for method in ("GET", "POST", "DELETE"):
        assert method in allowed.headers["access-control-allow-methods"]
    assert "mcp-method" in allowed.headers["access-control-allow-headers"].lower()
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers


async def test_without_named_origins_there_is_no_preflight() -> None:
    async with staged(SCENE) as (_, url), plain_http() as http:
        response = await http.options(f"{url}/mcp", headers={"Origin": "https://app.example"})
    assert response.status_code in (403, 405)
    assert "access-control-allow-origin" not in response.headers


@every_era
async def test_a_session_or_stream_of_another_client_cannot_be_guessed(era: Era) -> None:
    async with staged(SCENE) as (_, url), raw_http(url, era) as client:
        client.session = {"Mcp-Session-Id": "0" * 32}
        response = await client.post(tool_call(era, 1, "generate", {"prompt": "x"}))
        # The modern era knows no sessions, and ignores them.
        assert response.status_code == (404 if era == "legacy" else 200)
        posted = await client.http.post(f"{url}/messages/?session_id={'0' * 32}", json=initialize())
        assert posted.status_code == 404


@pytest.mark.parametrize("path", ["/mcp/x", "/v1", "/v2/models", "/playground", "/index.html"])
async def test_nothing_else_is_served(path: str) -> None:
    async with staged(SCENE) as (_, url), plain_http() as http:
        assert (await http.get(f"{url}{path}")).status_code == 404
