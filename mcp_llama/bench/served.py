"""A server over HTTP, as the benchmark sees it from outside: its address, its model, its metrics."""

import json
import re
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import anyio
from anyio import to_thread

from mcp_llama.bench.child import Child, child
from mcp_llama.bench.failure import TurnError

_URL = re.compile(r"^ +Streamable HTTP +(http://\S+)/mcp$")
_LLAMA_CPU = re.compile(r"^mcp_llama_llama_cpu_seconds_total (\S+)$", re.MULTILINE)
_OK = 200
_TIMEOUT_S = 10.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is; `base` is the path of its OpenAI API."""

    host: str
    port: int
    base: str

    def __str__(self) -> str:
        return f"http://{self.host}:{self.port}"


def address_of(url: str) -> Address:
    """The address in a URL, with or without the `/v1` at its end.

    Raises:
        TurnError: it is none, or not over plain HTTP.
    """
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port, parts = None, 80, urlsplit("")
    if not host or parts.scheme != "http":
        raise TurnError(f"{url} is no address of a server; it must be like http://127.0.0.1:8000.")
    path = parts.path.rstrip("/")
    return Address(host, port, path if path.endswith("/v1") else f"{path}/v1")


async def get(address: Address, path: str) -> tuple[int, bytes]:
    """The status and body of a resource.

    Raises:
        TurnError: no server answers.
    """
    return await to_thread.run_sync(_get, address, path)


def _get(address: Address, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection(address.host, address.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, HTTPException) as error:
        raise TurnError(f"no server answers at {address}: {error}") from error
    finally:
        connection.close()


async def model_name(address: Address) -> str:
    """The first model that a server offers.

    Raises:
        TurnError: it offers none.
    """
    status, body = await get(address, f"{address.base}/models")
    try:
        return str(json.loads(body)["data"][0]["id"])
    except (ValueError, LookupError, TypeError):
        raise TurnError(f"{address}{address.base}/models names no model (HTTP {status})") from None


async def llama_cpu(address: Address) -> float | None:
    """The CPU time inside llama.cpp so far, if the server counts it."""
    _, body = await get(address, "/metrics")
    found = _LLAMA_CPU.search(body.decode())
    return float(found[1]) if found else None


@asynccontextmanager
async def served(flags: Sequence[str]) -> AsyncGenerator[tuple[Child, Address]]:
    """`mcp-llama serve` with a loaded model, for the time of the body.

    Raises:
        TurnError: it could not start.
    """
    command = [sys.executable, "-m", "mcp_llama", "serve", "--host", "127.0.0.1", "--port", "0", *flags]
    async with child("mcp-llama serve", command) as server:
        while not (found := _URL.match((await server.line()).decode())):
            pass
        address = address_of(found[1])
        await _ready(address)
        yield server, address


async def _ready(address: Address) -> None:
    while True:
        status, body = await get(address, "/health")
        if status == _OK:
            return
        health = json.loads(body)
        if health["status"] == "failed":
            raise TurnError(f"mcp-llama serve has no model: {health['error']}")
        await anyio.sleep(_POLL_S)
