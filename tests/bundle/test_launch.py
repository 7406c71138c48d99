"""The unpacked bundle, started as a host starts it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from mcp_llama.config import load_settings
from mcp_llama.settings.server import StdioSettings
from tests.bundle.bundle import Bundle
from tests.command import PATIENCE_S
from tests.isolation import isolation

FORMS: dict[str, dict[str, Any]] = {
    "never opened": {},
    "emptied": {"model": "", "n_ctx": "", "n_slots": ""},
    "filled": {"model": "/my models/a.gguf", "n_ctx": 8192, "n_slots": 2, "max_tokens": 64},
}


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


@pytest.mark.parametrize("name", FORMS)
def test_the_server_has_the_options_that_a_form_says_and_defaults_for_the_rest(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    defaults = load_settings(StdioSettings, "stdio", []).model_dump()
    environment = bundle.process(FORMS[name]).env
    assert environment is not None
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    filled = {field: value for field, value in FORMS[name].items() if value != ""}
    assert load_settings(StdioSettings, "stdio", []).model_dump() == {**defaults, **filled}


async def generated(process: StdioServerParameters, **arguments: Any) -> tuple[dict[str, Any], str]:
    """The result of `generate`, and its progress messages, joined."""
    heard: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    with anyio.fail_after(PATIENCE_S):
        async with Client(process) as client:
            result = await client.call_tool(
                "generate", {"prompt": "Once upon a time", **arguments}, progress_callback=hear
            )
    assert result.structured_content is not None, result
    return result.structured_content, "".join(heard)


@pytest.mark.slow
async def test_a_bundle_whose_form_stays_blank_streams_from_the_embedded_model(bundle: Bundle) -> None:
    result, heard = await generated(bundle.process({}), max_tokens=8)
    assert result["model"].startswith("SmolLM2-135M")
    assert heard == result["text"] != ""
    assert result["usage"]["completion_tokens"] == 8


@pytest.mark.slow
async def test_a_bundle_streams_from_the_model_that_its_form_names(bundle: Bundle, real_model_path: Path) -> None:
    path = bundle.node.home / "my own model (1).gguf"
    shutil.copy(real_model_path, path)
    form = {"model": str(path), "n_ctx": 300, "n_slots": 1, "max_tokens": 3}
    result, heard = await generated(bundle.process(form), seed=1)
    assert result["model"] == path.stem
    assert (result["usage"]["completion_tokens"], result["finish_reason"]) == (3, "length")
    assert heard == result["text"]
