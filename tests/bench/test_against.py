"""Other servers beside this one, and what can be wrong with them."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from mcp_llama.bench.plan import Plan
from mcp_llama.bench.record import Measurement
from mcp_llama.bench.run import run
from tests.bench.fake_openai import MODEL, Manners, fake_openai
from tests.bench.plans import small_plan


def against(model: Path, url: str, **fields: Any) -> tuple[tuple[Measurement, ...], tuple[str, ...]]:
    """A run with nothing but that server."""
    plan: Plan = small_plan(model, **{"targets": (), "workloads": ("unique",), "against": (("other", url),), **fields})
    return asyncio.run(run(plan, lambda _: None))


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_another_server_is_measured_by_its_usage(real_model_path: Path, suffix: str) -> None:
    manners = Manners()
    with fake_openai(manners) as url:
        (measured,), failures = against(real_model_path, url + suffix)
    assert failures == ()
    assert (measured.target, measured.streams, measured.tokens, measured.prompt_tokens) == ("other", 2, 16, 10)
    assert (measured.cpu_s, measured.peak_memory) == (None, None)
    last = manners.asked[-1]
    assert (last["model"], last["max_tokens"], last["stream_options"]) == (MODEL, 8, {"include_usage": True})


def test_every_stream_has_a_seed_of_its_own(real_model_path: Path) -> None:
    manners = Manners()
    with fake_openai(manners) as url:
        against(real_model_path, url, rounds=2)
    assert len({asked["seed"] for asked in manners.asked[-4:]}) == 4
    assert len({asked["prompt"] for asked in manners.asked[-4:]}) == 4


def test_a_server_that_does_not_know_ignore_eos_is_not_asked_for_it(real_model_path: Path) -> None:
    manners = Manners(knows_ignore_eos=False)
    with fake_openai(manners) as url:
        (measured,), failures = against(real_model_path, url)
    assert failures == ()
    assert measured.tokens == 16
    assert "ignore_eos" not in manners.asked[-1]


def test_a_server_that_knows_ignore_eos_is_asked_for_it(real_model_path: Path) -> None:
    manners = Manners()
    with fake_openai(manners) as url:
        against(real_model_path, url)
    assert manners.asked[-1]["ignore_eos"] is True


def test_a_server_without_usage_is_refused(real_model_path: Path) -> None:
    with fake_openai(Manners(has_usage=False)) as url:
        measurements, (failure,) = against(real_model_path, url, rounds=3)
    assert measurements == ()
    assert failure == "other, unique, 2 streams: the server reports no usage, so its tokens cannot be counted"


def test_a_server_that_cannot_be_measured_is_not_tried_again(real_model_path: Path) -> None:
    manners = Manners(has_usage=False)
    with fake_openai(manners) as url:
        against(real_model_path, url, rounds=5)
    # One call to learn what it knows, and one to begin with.
    assert len(manners.asked) == 2


def test_a_server_that_nobody_started_fails_once(real_model_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        measurements, (failure,) = against(real_model_path, url, rounds=3)
    assert measurements == ()
    assert failure.startswith(f"other, unique, 2 streams: no server answers at {url}: ")


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "http://", "http://host:port", "ftp://host"])
def test_what_is_no_plain_http_is_refused(real_model_path: Path, url: str) -> None:
    measurements, (failure,) = against(real_model_path, url)
    assert measurements == ()
    assert "is no address of a server" in failure


def test_a_stream_that_breaks_off_fails_its_turn_only(real_model_path: Path) -> None:
    # Two calls come before the first turn, and two streams belong to it.
    with fake_openai(Manners(stops_after=5)) as url:
        (measured,), (failure,) = against(real_model_path, url, rounds=2)
    assert measured.round == 1
    assert failure == "other, unique, 2 streams: the stream broke off"


def test_a_server_that_does_not_keep_a_schema_fails_that_workload_only(real_model_path: Path) -> None:
    with fake_openai(Manners()) as url:
        (measured,), (failure,) = against(real_model_path, url, workloads=("json", "unique"))
    assert measured.workload == "unique"
    assert failure == "other, json, 2 streams: an answer is not JSON after the schema"


def test_a_failing_server_does_not_stop_the_others(real_model_path: Path) -> None:
    with fake_openai(Manners()) as url:
        both = (("gone", "http://127.0.0.1:1"), ("here", url))
        (measured,), (failure,) = against(real_model_path, "", against=both)
    assert measured.target == "here"
    assert failure.startswith("gone, ")
