"""A server with the embedded model, and clients of it."""

import shutil
import subprocess
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from openai import AsyncOpenAI, OpenAI

from mcp_llama.engine.llama import LlamaModel, ModelOptions
from tests.backends.one_model import backend_of
from tests.engine.llama.decoding import greedy, tokens
from tests.server.openai.clients import Play, async_client, played, sync_client
from tests.server.scene import MODEL_NAME
from tests.server.serving import serving

# One thread does not wait for another at llama.cpp's barriers while the machine does something else.
_OPTIONS = ModelOptions(n_ctx=512, n_slots=8, n_threads=1)


@pytest.fixture(scope="package")
async def real_url(real_model_path: Path) -> AsyncGenerator[str]:
    """The base URL of a server with the embedded model."""
    backend = backend_of(MODEL_NAME, partial(LlamaModel, real_model_path, _OPTIONS))
    async with serving(backend) as url:
        yield url


@pytest.fixture(scope="package")
async def client(real_url: str) -> AsyncGenerator[AsyncOpenAI]:
    """The asynchronous client of that server."""
    async with async_client(real_url) as client:
        yield client


@pytest.fixture(scope="package", params=["async", "sync"])
async def any_client(request: pytest.FixtureRequest, real_url: str) -> AsyncGenerator[AsyncOpenAI | OpenAI]:
    """Each of the two clients of that server."""
    if request.param == "sync":
        with sync_client(real_url) as client:
            yield client
    else:
        async with async_client(real_url) as client:
            yield client


@pytest.fixture(scope="module")
async def play(request: pytest.FixtureRequest, real_url: str) -> AsyncGenerator[Play]:
    """A server that plays the module's SCENE, for tests that leave no trace in it."""
    # Servers in one process hear the same signal: the one that is to end first must be the last to start.
    del real_url
    async with played(cast(Any, request).module.SCENE) as play:
        yield play


@pytest.fixture(scope="package")
def same_in_any_batch(real_model_path: Path) -> None:
    """Skips where llama.cpp's kernels round differently when a batch has more rows: texts may differ then."""
    model = LlamaModel(real_model_path, _OPTIONS)
    try:
        prompts = [tokens(model, text) for text in ("The sea is", "Once upon a time there was a", "def add(a, b):")]
        together = greedy(model, prompts, 16)
        alone = [greedy(model, [prompt], 16)[0] for prompt in prompts]
    finally:
        model.close()
    if together != alone:
        pytest.skip("the number of rows in a batch changes the rounding on this processor")


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose scripts can import OpenAI's npm client and an EventSource."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node here")
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(folder)]
    try:
        subprocess.run([*command, "openai@7", "eventsource@4"], capture_output=True, timeout=90, check=True)
    except subprocess.SubprocessError as error:
        pytest.skip(f"npm cannot install: {error}")
    return folder
