import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcp_llama.bench.command import parse_against, repeat_command, run_bench
from mcp_llama.bench.event import Event
from mcp_llama.bench.plan import TARGETS, WORKLOADS, Plan
from mcp_llama.bench.record import Measurement
from mcp_llama.config import load_settings
from mcp_llama.errors import ConfigError
from mcp_llama.settings.bench import BenchSettings
from mcp_llama.settings.model import ModelSettings
from tests.bench.rounds import turn
from tests.command import run_apart, run_here
from tests.isolation import isolation

Result = tuple[tuple[Measurement, ...], tuple[str, ...]]
TINY = ("--streams", "1,2", "--tokens", "8", "--rounds", "1", "--targets", "raw,engine", "--workloads", "unique")


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with isolation(monkeypatch, tmp_path):
        yield


def settings(*arguments: str) -> BenchSettings:
    return load_settings(BenchSettings, "bench", arguments)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that the command runs; here nothing else runs."""
    asked: list[Plan] = []

    async def run(plan: Plan, on_event: Callable[[Event], None]) -> Result:
        asked.append(plan)
        return (turn("raw"), turn("v1", 80)), ()

    monkeypatch.setattr("mcp_llama.bench.command.run", run)
    return asked


def test_the_real_model_is_measured_and_shown_as_a_table(tmp_path: Path) -> None:
    outcome = run_apart("bench", *TINY, "--n-ctx", "256", "--n-threads", "1", "--plot", str(tmp_path / "a.svg"))
    assert outcome.status == 0, outcome
    lines = outcome.out.splitlines()
    assert lines[0].startswith("Machine   ")
    assert "Loaded    2 slots of 256 tokens, 1 threads" in outcome.out
    rows = re.findall(r"^ +(\d+ )? *(raw|engine) +[\d.]+ ", outcome.out, re.MULTILINE)
    assert rows == [("1 ", "raw"), ("", "engine"), ("2 ", "raw"), ("", "engine")]
    assert lines[lines.index("To repeat it:") + 1].startswith(
        "  mcp-llama bench --n-ctx 256 --n-threads 1 --streams 1,2"
    )
    assert [line.split(":")[0] for line in outcome.err.splitlines()] == [
        "[1/4] round 1, unique, 1 stream, raw",
        "[2/4] round 1, unique, 1 stream, engine",
        "[3/4] round 1, unique, 2 streams, raw",
        "[4/4] round 1, unique, 2 streams, engine",
    ]
    assert (tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_json_is_all_that_stdout_gets(plans: list[Plan], capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_here(capsys, "bench", "--json", "--rounds", "2")
    assert (outcome.status, outcome.err) == (0, "")
    content = json.loads(outcome.out)
    assert content["command"] == ["mcp-llama", "bench", "--rounds", "2"]
    assert content["subject"]["model"] == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert [row["target"] for row in content["rows"]] == ["raw", "v1"]


def test_every_option_reaches_the_plan(
    plans: list[Plan], capsys: pytest.CaptureFixture[str], real_model_path: Path
) -> None:
    flags = ["--streams", "4,2", "--tokens", "9", "--rounds", "7", "--targets", "v1,raw", "--workloads", "json,unique"]
    flags += ["--against", "a=http://x:1/v1", "--against", "https://y/v1", "--n-ctx", "333", "--n-threads", "3"]
    flags += ["--flash-attn", "off", "--model", str(real_model_path)]
    assert run_here(capsys, "bench", *flags).status == 0
    assert plans == [
        Plan(
            model=real_model_path,
            options=("--n-threads", "3", "--flash-attn", "off"),
            n_ctx=333,
            streams=(4, 2),
            tokens=9,
            rounds=7,
            targets=("v1", "raw"),
            workloads=("unique", "json"),
            against=(("a", "http://x:1/v1"), ("y", "https://y/v1")),
        )
    ]


def test_without_options_the_defaults_are_known_to_the_plan(
    plans: list[Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(capsys, "bench").status == 0
    (plan,) = plans
    assert (plan.targets, plan.streams, plan.tokens, plan.rounds) == (TARGETS, (1, 2, 4, 8, 16), 96, 3)
    assert plan.workloads == ("unique", "shared", "long")
    assert (plan.options, plan.against, plan.n_ctx) == ((), (), 4096)
    description = BenchSettings.model_fields["workloads"].description or ""
    assert description.removeprefix("of ").split(", ") == list(WORKLOADS)


def test_failures_are_listed_and_make_the_status_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(plan: Plan, on_event: Callable[[Event], None]) -> Result:
        return (turn(),), ("v1: it died.",)

    monkeypatch.setattr("mcp_llama.bench.command.run", run)
    outcome = run_here(capsys, "bench")
    assert outcome.status == 1
    assert "Failures:\n- v1: it died." in outcome.out


def test_without_any_measurement_nothing_is_drawn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def run(plan: Plan, on_event: Callable[[Event], None]) -> Result:
        return (), ("v1: it died.",)

    monkeypatch.setattr("mcp_llama.bench.command.run", run)
    assert run_here(capsys, "bench", "--plot", str(tmp_path / "a.png")).status == 1
    assert not (tmp_path / "a.png").exists()


def test_what_was_measured_before_ctrl_c_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(plan: Plan, on_event: Callable[[Event], None]) -> Result:
        first = plan.turns()[0]
        on_event(Event(turn=first, done=0, total=45))
        on_event(Event(turn=first, done=1, total=45, measurement=turn("raw", 123)))
        on_event(Event(turn=first, done=2, total=45, failure="v1: it died."))
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("mcp_llama.bench.command.run", run)
    outcome = run_here(capsys, "bench")
    assert outcome.status == 130
    assert " 123 " in outcome.out
    assert "Failures:\n- v1: it died.\n- interrupted after 2 of 45 turns" in outcome.out


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--targets", "raw,mcp-htp"), "Unknown target 'mcp-htp'. Did you mean 'mcp-http'?"),
        (("--workloads", "uniqe"), "Unknown workload 'uniqe'. Did you mean 'unique'?"),
        (("--plot", "a.jpg"), "plot is 'a.jpg', whose suffix is unknown. Known: .pdf, .png, .svg."),
        (("--streams", "1,x"), "streams.1 is 'x'"),
        (("--streams", "0"), "streams.0 is '0'"),
        (("--tokens", "1"), "tokens is '1'"),
        (("--rounds", "0"), "rounds is '0'"),
        (("--against", "localhost:1", "--model", "nowhere.gguf"), "against is 'localhost:1': write it as"),
        (("--n-slots", "4"), "n_slots is 4, but the most streams take 16."),
    ],
)
def test_what_is_wrong_is_refused_before_anything_runs(
    flags: tuple[str, ...], problem: str, plans: list[Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run_here(capsys, "bench", *flags)
    assert outcome.problem(2).startswith(f"mcp-llama: {problem}")
    assert plans == []


def test_enough_slots_are_taken(plans: list[Plan], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(capsys, "bench", "--n-slots", "16").status == 0


def test_a_list_may_be_given_in_pieces_and_each_item_counts_once() -> None:
    assert settings("--streams", "1, 4", "--streams", "4,8").streams == [1, 4, 8]


def test_lists_may_stand_in_the_toml_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('streams = [1, 3]\ntargets = "raw,v1"')
    given = settings("--config", str(tmp_path / "a.toml"))
    assert (given.streams, given.targets) == ([1, 3], ["raw", "v1"])


@pytest.mark.parametrize("name", ["json", "json_", "plot"])
def test_where_the_result_goes_is_no_toml_option(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f'{name} = "a.png"')
    with pytest.raises(ConfigError, match="Unknown option in the TOML file"):
        settings("--config", str(tmp_path / "a.toml"))


def test_servers_have_the_name_that_is_given_or_their_address() -> None:
    servers = ("a=http://x:1/v1", "http://y:2", "b=c=https://z/v1?key=value")
    assert parse_against(servers) == (("a", "http://x:1/v1"), ("y:2", "http://y:2"), ("b=c", "https://z/v1?key=value"))


@pytest.mark.parametrize("text", ["x", "a=x:80", "ftp://x/v1", "http://", "a=", "=http://x/v1"])
def test_what_is_no_server_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write it as http://HOST:PORT/v1 or LABEL="):
        parse_against([text])


@pytest.mark.parametrize("texts", [("a=http://x", "a=http://y"), ("raw=http://x",), ("http://x/a", "http://x/b")])
def test_two_servers_of_one_name_are_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="is taken"):
        parse_against(texts)


def test_the_command_to_repeat_it_has_what_the_environment_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_LLAMA_N_THREADS", "3")
    given = settings(
        "--streams", "1,2", "--against", "a=http://x", "--against", "http://y", "--json", "--plot", "a.png"
    )
    assert repeat_command(given) == [
        *("mcp-llama", "bench", "--n-threads", "3", "--streams", "1,2"),
        *("--against", "a=http://x", "--against", "http://y"),
    ]
    again = settings(*repeat_command(given)[2:])
    assert again.model_dump(exclude={"json_", "plot"}) == given.model_dump(exclude={"json_", "plot"})


def test_every_option_of_a_model_but_its_shape_can_reach_the_servers() -> None:
    for name in set(ModelSettings.model_fields) - {"config", "log_level"}:
        assert name in BenchSettings.model_fields, name


def test_the_other_commands_start_without_the_benchmark_and_matplotlib() -> None:
    code = "import sys, mcp_llama.config; sys.exit(any(n in sys.modules for n in ('mcp_llama.bench', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_matplotlib_waits_until_something_is_drawn() -> None:
    code = "import sys, mcp_llama.bench.command; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_windows_is_told_where_the_benchmark_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigError, match="does not run under Windows itself; it does in WSL"):
        run_bench(settings())
