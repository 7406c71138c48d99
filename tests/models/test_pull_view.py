"""How `models pull` shows how far it is."""

import io

import pytest
from rich.console import Console

from mcp_llama.models.pull_view import PullView

GIB = 2**30


class Clock:
    """A clock that goes when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("mcp_llama.models.pull_view.time", clock)
    return clock


def test_a_terminal_has_a_bar_with_bytes_speed_and_the_time_that_is_left(clock: Clock) -> None:
    text = io.StringIO()
    view = PullView(Console(file=text, force_terminal=True, width=120))
    with view.step("a[bold]b.gguf", 4 * GIB, GIB) as report:
        for done in (GIB + GIB // 2, 2 * GIB):
            clock.now += 8
            report(done)
    shown = text.getvalue()
    assert "a[bold]b.gguf" in shown
    assert "1.0/4.0 GiB" in shown
    assert "2.0/4.0 GiB" in shown
    assert "64.0 MiB/s" in shown
    assert "0:00:32" in shown


def test_elsewhere_a_line_tells_each_tenth_and_the_end_is_left_to_others(clock: Clock) -> None:
    text = io.StringIO()
    view = PullView(Console(file=text, width=40))
    with view.step("tiny.gguf", 10 * GIB, 2 * GIB) as report:
        for done in (2 * GIB + 1, 3 * GIB - 1, 4 * GIB, 4 * GIB + 5, 10 * GIB):
            clock.now += 16
            report(done)
    assert text.getvalue().splitlines() == [
        "tiny.gguf: 10.0 GiB, 2.0 GiB are there already",
        "tiny.gguf: 30% of 10.0 GiB, 32.0 MiB/s, 3:44 left",
        "tiny.gguf: 40% of 10.0 GiB, 42.7 MiB/s, 2:24 left",
    ]


def test_a_slow_download_still_shows_a_line_at_times(clock: Clock) -> None:
    text = io.StringIO()
    with PullView(Console(file=text)).step("tiny.gguf", 10 * GIB, 0) as report:
        for done in (2**20, 2 * 2**20, 3 * 2**20):
            clock.now += 20
            report(done)
    assert text.getvalue().splitlines()[1:] == ["tiny.gguf: 0% of 10.0 GiB, 52,429 bytes/s, 56:52:40 left"]


def test_a_fast_download_fills_no_log(clock: Clock) -> None:
    text = io.StringIO()
    with PullView(Console(file=text)).step("tiny.gguf", 10 * GIB, 0) as report:
        for tenth in range(9):
            clock.now += 1.25
            report(tenth * GIB)
    shown = [line.split(",")[0] for line in text.getvalue().splitlines()]
    assert shown == ["tiny.gguf: 10.0 GiB", *(f"tiny.gguf: {share}% of 10.0 GiB" for share in (10, 30, 50, 70))]


def test_a_download_that_began_anew_is_measured_anew(clock: Clock) -> None:
    text = io.StringIO()
    with PullView(Console(file=text)).step("tiny.gguf", 10 * GIB, 5 * GIB) as report:
        clock.now += 1000
        report(0)
        clock.now += 10
        report(GIB)
    assert text.getvalue().splitlines()[1:] == ["tiny.gguf: 10% of 10.0 GiB, 102.4 MiB/s, 1:30 left"]
