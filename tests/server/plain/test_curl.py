"""curl, with which people try a server first."""

import json
import shutil
from asyncio import StreamReader
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest

from tests.gate import PATIENCE_S
from tests.server.plain.streams import Item, parse
from tests.server.plain.ways import GENERATE, Json, Way, every_way, scripts
from tests.server.scene import SPEECH, Scene
from tests.server.serving import in_process, staged

CURL = shutil.which("curl") or ""
SCENE = Scene(scripts=scripts(count="one two", speech=SPEECH))
pytestmark = pytest.mark.skipif(not CURL, reason="there is no curl")


def arguments(url: str, way: Way, prompt: str, **options: Any) -> list[str]:
    """What a person types."""
    request: Json = way.request(prompt, **options)
    if way.method == "GET":
        return [f"{url}{way.path}?{urlencode(request['params'])}"]
    return ["-H", "Content-Type: application/json", "-d", json.dumps(request["json"]), f"{url}{way.path}"]


@asynccontextmanager
async def curl(*arguments: str) -> AsyncGenerator[StreamReader]:
    """What curl prints, as it prints it. curl ends where the body does, if not before."""
    process = await create_subprocess_exec(CURL, "-sN", "--compressed", *arguments, stdout=PIPE)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def next_item(out: StreamReader) -> Item:
    with anyio.fail_after(PATIENCE_S):
        return parse((await out.readuntil(b"\n\n")).removesuffix(b"\n\n"))


async def read_until(out: StreamReader, found: Callable[[Item], bool]) -> Item:
    while not found(item := await next_item(out)):
        pass
    return item


@every_way
async def test_curl_shows_every_token_as_it_comes(way: Way) -> None:
    async with staged(SCENE) as (stage, url):
        hands = in_process(stage)
        stage.shut()
        async with curl(*arguments(url, way, "count", max_tokens=99)) as out:
            assert await next_item(out) == Item("comment", "open")
            for letter in "one two":
                await hands.held()
                await hands.step()
                item = await read_until(out, lambda item: item.kind == "data" and bool(way.text(item.data)))
                assert way.text(item.data) == letter
            stage.open()
            await read_until(out, lambda item: item.kind == "done")
            assert await out.read() == b""


@every_way
async def test_curl_gets_every_byte(way: Way) -> None:
    async with staged(SCENE) as (_, url), curl(*arguments(url, way, "speech", max_tokens=300)) as out:
        text = ""
        while (item := await next_item(out)).kind != "done":
            text += way.text(item.data) if item.kind == "data" else ""
    assert text == SPEECH


@every_way
async def test_a_client_of_the_first_version_of_http_gets_its_stream(way: Way) -> None:
    # It knows no chunks: the body ends with the connection.
    line = arguments(url="", way=way, prompt="count", max_tokens=99)
    async with staged(SCENE) as (_, url), curl("--http1.0", *line[:-1], f"{url}{line[-1]}") as out:
        await read_until(out, lambda item: item.kind == "done")
        assert await out.read() == b""


async def test_curl_that_forgets_the_header_is_told() -> None:
    async with staged(SCENE) as (_, url), curl("-d", '{"prompt": "count"}', f"{url}{GENERATE.path}") as out:
        error = json.loads(await out.read())["error"]
    assert "Content-Type: application/json" in error["message"]


async def test_the_end_of_curl_ends_the_work() -> None:
    async with staged(Scene(n_ctx=4096, decode_delay=0.002)) as (stage, url):
        async with curl(*arguments(url, GENERATE, "endless", max_tokens=4000)) as out:
            await read_until(out, lambda item: item.kind == "data")
        (end,) = await in_process(stage).ended(1)
        assert end.reason == "abort"
        assert end.completion_tokens < 4000
