# pyright: reportUnknownMemberType=false
# matplotlib types some of its arguments as unknown.

import re
from pathlib import Path

import pytest

from mcp_llama.bench.plot import SUFFIXES, check_plot, draw
from mcp_llama.bench.record import Measurement
from mcp_llama.bench.summary import summarise
from mcp_llama.errors import ConfigError
from tests.bench.rounds import report, turn

MAGIC = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}
NAMES = ("raw", "engine", "v1", "mcp-http", "mcp-stdio", *(f"rival-{number}" for number in range(5)))
TURNS = [turn(name, 100.0 * n, streams=n) for name in NAMES for n in (1, 2, 6)]


def drawn(path: Path, *turns: Measurement) -> bytes:
    draw(path, report(*turns), summarise(turns))
    return path.read_bytes()


def svg(folder: Path, *turns: Measurement, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The texts of a picture."""
    monkeypatch.setattr("mcp_llama.bench.plot._STYLE", {"svg.fonttype": "none"})
    return set(re.findall(r"<text[^>]*>([^<]+)</text>", drawn(folder / "a.svg", *turns).decode()))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_suffix_decides_what_kind_of_file_it_is(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    check_plot(path)
    assert drawn(path, *TURNS[:4]).startswith(MAGIC[suffix])


def test_the_picture_names_targets_units_and_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = svg(tmp_path, *TURNS, monkeypatch=monkeypatch)
    assert {*NAMES, "1", "2", "6", "Throughput", "Inter-token latency", "streams at once"} <= texts
    assert "4" not in texts
    assert "tiny.gguf on A processor, 2 cores" in texts
    assert "Unique prompts, median of 1 rounds" not in texts
    assert "Unique prompts, 1 round" in texts
    assert any(text.startswith("tok/s") for text in texts)
    assert any(text.startswith("ms") for text in texts)


def test_the_workload_of_the_most_numbers_of_streams_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = [turn(workload="shared", streams=3), *TURNS[:3], turn(workload="unique", streams=1, round=2)]
    texts = svg(tmp_path, *turns, monkeypatch=monkeypatch)
    assert "Unique prompts, median of 2 rounds" in texts
    assert "3" not in texts


def test_a_target_without_latencies_is_drawn_all_the_same(tmp_path: Path) -> None:
    assert drawn(tmp_path / "a.png", turn(itl=None), turn("v1", itl=None)).startswith(MAGIC[".png"])


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        before = dict(mpl.rcParams)
        drawn(tmp_path / "a.png", turn())
        assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", ["picture", "picture.jpg", "picture.svg.txt"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"suffix is unknown. Known: \.pdf, \.png, \.svg\.$"):
        check_plot(tmp_path / name)


def test_the_case_of_a_suffix_does_not_count(tmp_path: Path) -> None:
    check_plot(tmp_path / "picture.PNG")
    assert drawn(tmp_path / "picture.PNG", turn()).startswith(MAGIC[".png"])


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"but there is no folder '.*nowhere'\.$"):
        check_plot(tmp_path / "nowhere" / "picture.png")


def find_nothing(name: str) -> None:
    """As importlib finds what is not installed."""


def test_without_matplotlib_the_command_that_installs_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", find_nothing)
    with pytest.raises(ConfigError, match=r'needs matplotlib\. Install it: pip install "mcp-llama\[plot\]"$'):
        check_plot(tmp_path / "picture.png")
