from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser

from tests.server.playground.browser import launched


@pytest.fixture(scope="package")
async def browser() -> AsyncGenerator[Browser]:
    async with launched() as browser:
        yield browser
