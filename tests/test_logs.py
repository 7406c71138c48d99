import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_llama.logs import configure_logging
from tests.isolation import isolation


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


def test_the_log_goes_to_stderr_from_its_level_on(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    logging.getLogger("mcp_llama.test").debug("unheard")
    logging.getLogger("mcp_llama.test").info("heard")
    said = capsys.readouterr()
    assert said.out == ""
    assert "INFO    mcp_llama.test: heard" in said.err
    assert "unheard" not in said.err


def test_libraries_speak_only_of_problems(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    for name in ("mcp.server", "uvicorn.error", "asyncio"):
        logging.getLogger(name).info("chatter of %s", name)
        logging.getLogger(name).warning("problem of %s", name)
    err = capsys.readouterr().err
    assert "chatter" not in err
    assert err.count("problem") == 3


def test_at_debug_libraries_speak_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug")
    logging.getLogger("mcp.server").debug("chatter")
    assert "chatter" in capsys.readouterr().err
