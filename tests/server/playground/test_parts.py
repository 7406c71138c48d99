"""The parts that the page is made of."""

import re
from graphlib import TopologicalSorter
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser

from mcp_llama.server import playground
from tests.server.playground.visit import visit

FOLDER = Path(playground.__file__).with_suffix("")
PARTS = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
MODULES = {name: text for name, text in PARTS.items() if name.endswith(".js")}
MAX_LINES = 300


async def test_the_page_asks_once_for_each_of_its_parts(browser: Browser) -> None:
    async with visit(browser) as visitor:
        paths = [urlsplit(request.url).path for request in visitor.log.requests]
        parts = [path.removeprefix("/playground/") for path in paths if path.startswith("/playground/")]
        assert sorted(parts) == sorted(PARTS.keys() - {"index.html"})


async def test_the_page_names_all_modules_so_that_none_waits_for_another() -> None:
    named = re.findall(r'(?:modulepreload" href|script type="module" src)="playground/([^"]*)"', PARTS["index.html"])
    assert sorted(named) == sorted(MODULES)


async def test_the_modules_import_each_other_in_one_direction() -> None:
    graph = {name: re.findall(r'^import .* from "\./(.*)";$', text, re.MULTILINE) for name, text in MODULES.items()}
    assert "playground.js" in graph
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("name", PARTS)
async def test_no_part_is_longer_than_it_may_be(name: str) -> None:
    assert len(PARTS[name].splitlines()) <= MAX_LINES


async def test_the_page_asks_for_nothing_that_is_not_there(browser: Browser) -> None:
    async with visit(browser) as visitor:
        for name in ("API docs", "Metrics", "Health"):
            link = visitor.page.get_by_role("navigation", name="Server").get_by_role("link", name=name)
            url = await link.evaluate("(it) => it.href")
            response = await visitor.page.context.request.get(url)
            assert response.ok, url
        assert visitor.log.failed == []


async def test_nothing_on_the_page_needs_more_than_a_strict_policy(browser: Browser) -> None:
    async with visit(browser) as visitor:
        response = await visitor.page.reload()
        assert response is not None
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
