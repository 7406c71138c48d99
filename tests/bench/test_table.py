import re
from typing import get_args

import pytest

from mcp_llama.bench.grid import WIDTH, Column, lay_out, shell_lines
from mcp_llama.bench.record import Measurement, Workload
from mcp_llama.bench.summary import summarise
from mcp_llama.bench.table import render
from tests.bench.rounds import report, spread, turn

COMMAND = ("mcp-llama", "bench", "--model", "/my models/a.gguf")


def table(*turns: Measurement, rivals: tuple[str, ...] = (), failures: tuple[str, ...] = ()) -> str:
    return render(report(*turns, failures=failures), summarise(turns, rivals), COMMAND)


def cells(text: str, target: str) -> list[str]:
    """The words of the first row of a target, from its name on."""
    found = re.search(rf"^ *\d* +{target} +(.*)$", text, re.MULTILINE)
    assert found is not None, text
    return found[1].split()


def test_a_row_tells_speed_ratio_latencies_and_cost() -> None:
    ours = turn("v1", 80, streams=4, cpu_s=0.25, peak_memory=300 * 2**20)
    text = table(turn("raw", 100, streams=4), ours)
    assert cells(text, "v1") == ["80.0", "0.80", "20.0", "50.0", "10.0", "20.0", "30.0", "40.0", "250", "300"]
    assert cells(text, "raw") == ["100", "25.0", "50.0", "10.0", "20.0", "30.0", "40.0"]


def test_several_rounds_show_their_range() -> None:
    turns = [turn("raw", 100, round=n) for n in (1, 2, 3)]
    turns += [turn("v1", rate, round=n) for n, rate in ((1, 90.0), (2, 50.0), (3, 120.0))]
    text = table(*turns)
    assert cells(text, "v1")[:4] == ["90.0", "(50.0-120)", "0.90", "(0.50-1.20)"]
    assert "Unique prompts (unique), 3 rounds" in text


def test_columns_without_any_value_are_left_out() -> None:
    text = table(turn("raw", itl=None))
    for heading in ("ITL", "p95", "CPU µs", "memory", "÷ raw"):
        assert heading not in text.split("tok/s counts")[0], heading
    assert "TTFT" in text


def test_a_rival_gets_a_table_of_ratios_ours_over_theirs() -> None:
    text = table(turn("raw", 100), turn("v1", 80), turn("ollama", 40), rivals=("ollama",))
    _, below = text.split("÷ ollama")
    assert below.splitlines()[1].split() == ["streams", "target", "(range)"]
    assert below.splitlines()[2].split() == ["1", "v1", "2.00"]
    assert below.splitlines()[3] == ""


def test_the_number_of_streams_stands_where_it_changes() -> None:
    text = table(*(turn(target, streams=n) for n in (8, 16) for target in ("raw", "v1")))
    assert re.findall(r"^ +(\d+ )? *(raw|v1) ", text, re.MULTILINE) == [
        ("8 ", "raw"),
        ("", "v1"),
        ("16 ", "raw"),
        ("", "v1"),
    ]


def test_long_prompts_show_the_longest_gap_and_their_own_first_token() -> None:
    text = table(turn("raw", workload="long", itl=spread(0.2), prompt_ttft=2.5))
    assert "A long prompt among running streams (long), 1 round" in text
    assert re.search(r"longest +long\n.* gap ms +TTFT ms\n", text)
    assert cells(text, "raw")[-2:] == ["800", "2500"]


def test_a_shared_prompt_shows_the_total_and_what_was_cached() -> None:
    shared = turn("v1", 500, workload="shared", cached_tokens=4200, cold_ttft=spread(0.9), ttft=spread(0.1))
    text = table(turn("raw", 500, workload="shared"), shared)
    assert cells(text, "v1")[2:6] == ["2.0", "4200", "900", "100"]
    assert cells(text, "raw")[1] == "2.0"


def test_cancelled_calls_show_when_their_slot_was_free() -> None:
    assert cells(table(turn("v1", workload="cancel", freed=spread(0.004))), "v1")[:2] == ["4.0", "12.0"]


@pytest.mark.parametrize("workload", get_args(Workload))
def test_every_workload_fits_the_width_with_large_numbers(workload: Workload) -> None:
    big: dict[str, object] = {
        "workload": workload, "streams": 128, "cpu_s": 5.5, "peak_memory": 123_456 * 2**20, "prompt_ttft": 99.0,
        "freed": spread(1.5), "itl": spread(12.345), "ttft": spread(98.765), "cached_tokens": 123_456,
    }  # fmt: skip
    names = ("raw", "v1", "a-server-with-quite-a-long-name")
    turns = [turn(name, 12345.6 * n, round=n, **big) for n in (1, 2) for name in names]
    text = table(*turns, rivals=names[-1:], failures=("word " * 60,))
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert "a-server-with-q…" in text


def test_the_machine_the_model_and_the_versions_are_told() -> None:
    text = table(turn())
    for fact in ("A processor, 2 cores, 8.0 GiB", "tiny.gguf", "94 MiB", "ab" * 32, "16 slots of 4,096 tokens"):
        assert fact in text, fact
    for fact in ("mcp-llama 0.1.0, mcp 2.3.0, Python 3.11.7", "2 threads", "FEATURE19 = 1"):
        assert fact in text, fact


def test_failures_stand_under_the_table() -> None:
    text = table(turn(), failures=("v1 died.", "again."))
    assert text.index(" raw ") < text.index("Failures:\n- v1 died.\n- again.")
    assert "Failures" not in table(turn())


def test_without_any_measurement_there_is_no_table() -> None:
    text = table(failures=("the server did not start",))
    assert "tok/s" not in text
    assert "- the server did not start" in text


def test_the_command_to_repeat_it_is_one_for_a_shell() -> None:
    assert table(turn()).endswith("To repeat it:\n  mcp-llama bench --model '/my models/a.gguf'")


def test_a_long_command_goes_on_in_the_next_line_and_no_word_is_broken() -> None:
    words = ["mcp-llama", *(f"--option-{number}" for number in range(30)), "two words", "x" * 150]
    lines = shell_lines(words)
    assert all(line.endswith(" \\") for line in lines[:-1])
    joined = " ".join(line.removesuffix(" \\").strip() for line in lines)
    assert joined == " ".join(words).replace("two words", "'two words'")
    assert max(len(line) for line in lines[:-1]) <= WIDTH


def test_a_column_lines_up_at_its_side() -> None:
    columns = [
        Column(heading=("", "name"), cells=("a", "longer"), left=True),
        Column(heading=("x", "n"), cells=("1", "22")),
        Column(heading=("none", "none"), cells=("", "")),
    ]
    assert lay_out(columns) == ["         x", "name     n", "a        1", "longer  22"]
