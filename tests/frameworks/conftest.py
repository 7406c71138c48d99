"""One server with the embedded model for all frameworks."""

from collections.abc import Iterator

import pytest

from tests.command import served


@pytest.fixture(scope="package")
def base_url() -> Iterator[str]:
    """The server's URL, without the path of a door."""
    with served("--n-ctx", "1024", "--n-slots", "2", "--n-threads", "1") as url:
        yield url
