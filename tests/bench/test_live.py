import io

from rich.console import Console

from mcp_llama.bench.event import Event, Turn
from mcp_llama.bench.live import Live
from mcp_llama.bench.record import Measurement
from tests.bench.rounds import turn

TURN = Turn(target="v1", workload="long", streams=4, round=2)


def begun(done: int = 0) -> Event:
    return Event(turn=TURN, done=done, total=12)


def ended(measurement: Measurement | None = None, failure: str | None = None, turn: Turn = TURN) -> Event:
    return Event(turn=turn, done=1, total=12, measurement=measurement, failure=failure)


def shown(*events: Event, terminal: bool) -> str:
    text = io.StringIO()
    with Live(Console(file=text, force_terminal=terminal, width=100)) as live:
        for event in events:
            live.show(event)
    return text.getvalue()


def test_elsewhere_than_on_a_terminal_each_turn_is_one_plain_line() -> None:
    text = shown(begun(), ended(turn("v1", 88.5)), begun(1), ended(failure="[red]it died"), terminal=False)
    assert text == (
        "[ 1/12] round 2, long, 4 streams, v1: 88.5 tok/s\n[ 1/12] round 2, long, 4 streams, v1: failed: [red]it died\n"
    )


def test_a_long_line_is_not_broken() -> None:
    text = shown(ended(failure="word " * 50), terminal=False)
    assert len(text.splitlines()) == 1


def test_one_stream_is_called_one() -> None:
    single = Turn(target="raw", workload="unique", streams=1, round=1)
    assert "unique, 1 stream, raw" in shown(ended(turn(), turn=single), terminal=False)


def test_on_a_terminal_a_bar_tells_the_turn_that_runs() -> None:
    text = shown(begun(3), terminal=True)
    assert "3/12" in text
    assert "round 2, long, 4 streams, v1" in text


def test_on_a_terminal_only_failures_stay() -> None:
    assert "failed: it died" in shown(begun(), ended(failure="it died"), terminal=True)
    assert "tok/s" not in shown(begun(), ended(turn("v1", 88.5)), terminal=True)


def test_a_name_with_brackets_is_shown_as_it_is() -> None:
    odd = Turn(target="[bold]x", workload="unique", streams=1, round=1)
    assert "[bold]x" in shown(Event(turn=odd, done=0, total=1), terminal=True)
