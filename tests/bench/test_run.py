"""A whole run with the embedded model: every target under every workload."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcp_llama.bench import storm
from mcp_llama.bench.event import Event
from mcp_llama.bench.plan import TARGETS, WORKLOADS, Plan
from mcp_llama.bench.record import RAW, Measurement, Workload
from mcp_llama.bench.run import run
from tests.bench.plans import small_plan

WIRES = ("v1", "mcp-http", "mcp-stdio")
COUNTING = ("engine", "v1", "mcp-http")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run told and what came of it."""

    plan: Plan
    events: tuple[Event, ...]
    measurements: tuple[Measurement, ...]
    failures: tuple[str, ...]

    def of(self, target: str, workload: Workload) -> Measurement:
        (found,) = [each for each in self.measurements if (each.target, each.workload) == (target, workload)]
        return found


@pytest.fixture(scope="module")
def ran(real_model_path: Path) -> Ran:
    plan = small_plan(real_model_path)
    events: list[Event] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storm, "TRIALS", 3)
        measurements, failures = asyncio.run(run(plan, events.append))
    return Ran(plan, tuple(events), measurements, failures)


pytestmark = pytest.mark.timeout(180)


def test_every_turn_is_measured(ran: Ran) -> None:
    assert ran.failures == ()
    turns = [(turn.target, turn.workload, turn.streams, turn.round) for turn in ran.plan.turns()]
    assert [(each.target, each.workload, each.streams, each.round) for each in ran.measurements] == turns


def test_each_turn_is_told_when_it_begins_and_when_it_ends(ran: Ran) -> None:
    turns = ran.plan.turns()
    begins, ends = ran.events[::2], ran.events[1::2]
    assert [(event.turn, event.done) for event in begins] == list(zip(turns, range(len(turns)), strict=True))
    assert [(event.turn, event.done) for event in ends] == list(zip(turns, range(1, len(turns) + 1), strict=True))
    assert all(event.begins for event in begins)
    assert [event.measurement for event in ends] == list(ran.measurements)
    assert {event.total for event in ran.events} == {len(turns)}


@pytest.mark.parametrize("target", TARGETS)
def test_every_stream_has_its_full_length(ran: Ran, target: str) -> None:
    measured = ran.of(target, "unique")
    assert measured.tokens == 2 * 8
    assert abs(measured.prompt_tokens - 2 * 40) <= 8
    assert measured.cached_tokens == 0


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_times_are_in_their_order(ran: Ran, target: str, workload: Workload) -> None:
    if (target, workload) == (RAW, "cancel"):
        return
    measured = ran.of(target, workload)
    assert measured.ttft is not None
    assert measured.itl is not None
    assert 0 < measured.ttft.p50 <= measured.ttft.max < measured.seconds
    assert 0 <= measured.itl.p50 <= measured.itl.p95 <= measured.itl.p99 <= measured.itl.max < measured.seconds
    assert measured.rate == measured.tokens / measured.seconds


@pytest.mark.parametrize("target", TARGETS)
def test_agents_with_one_system_prompt_share_it(ran: Ran, target: str) -> None:
    measured = ran.of(target, "shared")
    assert measured.tokens == 2 * 2 * 8
    assert measured.cold_ttft is not None
    # Of four prompts all but the first find at least the system prompt computed.
    assert measured.prompt_tokens / 2 < measured.cached_tokens < measured.prompt_tokens


@pytest.mark.parametrize("target", TARGETS)
def test_a_long_prompt_comes_while_the_others_write(ran: Ran, target: str) -> None:
    measured = ran.of(target, "long")
    assert measured.prompt_ttft is not None
    assert measured.itl is not None
    assert 0 < measured.prompt_ttft < measured.seconds
    assert measured.itl.max > 2 * measured.itl.p50
    assert measured.tokens == 3 * 16
    assert measured.prompt_tokens > 2 * 36 + 150


@pytest.mark.parametrize("target", ["engine", *WIRES])
def test_the_slots_of_cancelled_calls_are_free_again(ran: Ran, target: str) -> None:
    measured = ran.of(target, "cancel")
    assert measured.streams == ran.plan.n_slots == 3
    assert measured.freed is not None
    assert measured.freed.p50 > 0
    assert measured.tokens == 3 * 8


@pytest.mark.parametrize("target", TARGETS)
def test_json_is_as_long_as_the_schema_wants(ran: Ran, target: str) -> None:
    assert ran.of(target, "json").tokens > 2 * 8


def test_memory_is_that_of_the_process_with_the_model(ran: Ran, real_model_path: Path) -> None:
    weights = real_model_path.stat().st_size
    assert all((measured.peak_memory or 0) > weights for measured in ran.measurements)


def test_cpu_time_outside_llama_is_known_where_it_is_counted(ran: Ran) -> None:
    for measured in ran.measurements:
        assert (measured.cpu_s is not None) == (measured.target in COUNTING), measured


def test_cpu_time_outside_llama_is_less_than_that_of_the_model(ran: Ran) -> None:
    for target in COUNTING:
        measured = ran.of(target, "long")
        assert measured.cpu_s is not None
        assert 0 < measured.cpu_s < measured.seconds / 2
