from collections.abc import Iterator

import pytest

from tests.command import COMMAND
from tests.node.node import Node, installed
from tests.node.servers import FIXTURES, listening


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Node:
    return Node(installed(), tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The server as everybody has it."""
    with listening(*COMMAND) as url:
        yield url


@pytest.fixture(scope="session")
def fixtures_url() -> Iterator[str]:
    """The same with the tools, resources and prompts that the conformance suite asks for."""
    with listening(*FIXTURES) as url:
        yield url
