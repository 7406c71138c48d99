from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_llama.command_line import as_flags, flag_of
from mcp_llama.config import load_settings
from mcp_llama.settings.bench import BenchSettings
from mcp_llama.settings.server import ServeSettings
from mcp_llama.settings.text import GenerateSettings
from tests.command import run_here
from tests.isolation import isolation


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


def test_a_flag_has_dashes_and_no_trailing_one() -> None:
    assert [flag_of(name) for name in ("n_ctx", "json_", "model")] == ["--n-ctx", "--json", "--model"]


def test_flags_give_back_the_values_that_they_came_from() -> None:
    words = ["a text", "--n-ctx", "64", "--stop", "b", "--stop", "a", "--sampling", "top_k=3", "--sampling", "min_p=1"]
    given = load_settings(GenerateSettings, "generate", words)
    assert as_flags(given, ["n_ctx", "stop", "sampling"]) == words[1:]
    door = load_settings(ServeSettings, "serve", ["--allowed-hosts", "a:*", "--allowed-hosts", "b:*"])
    assert as_flags(door, ["allowed_hosts"]) == ["--allowed-hosts", "a:*", "--allowed-hosts", "b:*"]


def test_a_switch_takes_no_value() -> None:
    on = load_settings(BenchSettings, "bench", ["--json", "--rounds", "2"])
    assert (on.json_, on.rounds) == (True, 2)
    assert as_flags(on, ["json_", "rounds"]) == ["--json", "--rounds", "2"]
    off = load_settings(BenchSettings, "bench", [])
    assert as_flags(off, ["json_"]) == []


def test_help_shows_a_list_as_it_is_given_and_no_default_of_a_switch(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(run_here(capsys, "bench", "--help").out.split())
    assert "(default: 1,2,4,8,16)" in text
    assert "(default: False)" not in text
    assert "may be given several times --json" in text
