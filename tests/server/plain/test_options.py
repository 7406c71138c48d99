"""Sampling options: each of them reaches the model, by every way, and keeps its bounds."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import fields, replace
from typing import Any

import pytest

from mcp_llama.engine.constraint import Constraint
from mcp_llama.engine.sampling import BOUNDS, MAX_SEED, SamplingParams
from mcp_llama.server.wire import MAX_STOP, SamplingIn, StructuredSamplingIn
from tests.fake_model import FakeSampler
from tests.server.plain.streams import Asker, asker
from tests.server.plain.ways import EVENT_SOURCE, Json, Way, every_way
from tests.server.scene import Scene
from tests.server.serving import staged

NUMBERS = {name: bounds for name, bounds in BOUNDS.items() if name != "seed"}
INNER: dict[str, Any] = {
    name: round((low + min(high, 9)) / 2) if isinstance(low, int) else (low + min(high, 9)) / 2
    for name, (low, high) in BOUNDS.items()
} | {"ignore_eos": True}
"""A value for each option that is neither a bound nor the default."""
STRUCTURED: dict[str, tuple[Any, Any]] = {
    "logit_bias": ({"65": -2.5, "66": 1}, ((65, -2.5), (66, 1.0))),
    "dry_sequence_breakers": (["\n", "ü"], ("\n", "ü")),
}


class Sampled:
    """A client of a server, and the options that its model was last asked to sample with."""

    def __init__(self, client: Asker) -> None:
        self.client = client
        self.params: list[SamplingParams] = []

    async def ask(self, way: Way, options: Json) -> SamplingParams:
        """What the model gets of these options, the seed left out where it is random."""
        stream = await self.client.read(way, "x", max_tokens=1, **options)
        assert stream.kinds[-1] == "done"
        params = self.params[-1]
        assert params.seed is not None
        return params if options.get("seed") is not None else replace(params, seed=None)


@pytest.fixture(scope="module")
async def sampled() -> AsyncGenerator[Sampled]:
    async with staged(Scene()) as (stage, url), asker(url) as client:
        sampled, sampler = Sampled(client), stage.model.sampler

        def watched(params: SamplingParams, prompt: Sequence[int], constraint: Constraint | None = None) -> FakeSampler:
            sampled.params.append(params)
            return sampler(params, prompt, constraint)

        stage.model.sampler = watched
        yield sampled


def test_every_option_of_the_model_has_its_field() -> None:
    options = set(SamplingIn.model_fields) | set(StructuredSamplingIn.model_fields)
    assert options == {field.name for field in fields(SamplingParams)}
    assert set(INNER) == set(SamplingIn.model_fields)
    assert set(STRUCTURED) == set(StructuredSamplingIn.model_fields)


def test_the_bounds_of_the_fields_are_those_of_the_model() -> None:
    told = SamplingIn.model_json_schema()["properties"]
    numbers = {name: told[name]["anyOf"][0] for name in NUMBERS}
    assert {name: (number["minimum"], number["maximum"]) for name, number in numbers.items()} == NUMBERS
    assert {name for name, number in numbers.items() if number["type"] == "integer"} == {
        name for name, (low, _) in NUMBERS.items() if isinstance(low, int)
    }


@every_way
async def test_without_options_the_defaults_of_the_model_count(sampled: Sampled, way: Way) -> None:
    assert await sampled.ask(way, {}) == SamplingParams()


@every_way
async def test_every_option_reaches_the_model(sampled: Sampled, way: Way) -> None:
    for name, value in INNER.items():
        default = getattr(SamplingParams(), name)
        assert value != default
        params = await sampled.ask(way, {name: value})
        assert params == replace(SamplingParams(), **{name: value}), name
        assert type(getattr(params, name)) is type(value), name


@every_way
async def test_all_options_go_together(sampled: Sampled, way: Way) -> None:
    assert await sampled.ask(way, INNER) == replace(SamplingParams(), **INNER)


@pytest.mark.parametrize("name", STRUCTURED)
@every_way
async def test_options_with_an_inner_life_reach_the_model(sampled: Sampled, way: Way, name: str) -> None:
    value, expected = STRUCTURED[name]
    if way is EVENT_SOURCE:
        refused = await sampled.client.send(way.request("x", **dict[str, Any]({name: "1"})))
        assert refused.status_code == 400
        assert refused.json()["error"]["message"] == f"{name} is unknown."
    else:
        assert await sampled.ask(way, {name: value}) == replace(SamplingParams(), **{name: expected})


@every_way
async def test_a_bound_is_let_in_and_what_lies_outside_is_not(sampled: Sampled, way: Way) -> None:
    for name, (low, high) in NUMBERS.items():
        step = 1 if isinstance(low, int) else 0.001
        for bound, outside in ((low, low - step), (high, high + step)):
            assert getattr(await sampled.ask(way, {name: bound}), name) == bound
            refused = await sampled.client.send(way.request("x", **dict[str, Any]({name: outside})))
            assert refused.status_code == 400, (name, outside)
            error = refused.json()["error"]
            assert error["param"] == name
            assert str(outside) in error["message"]


@every_way
async def test_a_seed_may_have_64_bits_or_be_random(sampled: Sampled, way: Way) -> None:
    for seed in (0, MAX_SEED, 2**32, 2**63 - 1):
        params = await sampled.ask(way, {"seed": seed})
        assert params.seed is not None
        assert 0 <= params.seed <= MAX_SEED
        assert params == await sampled.ask(way, {"seed": seed})
        assert (params.seed == seed) == (seed <= MAX_SEED)
    assert await sampled.ask(way, {"seed": -1}) != await sampled.ask(way, {"seed": -1})


@every_way
async def test_an_option_that_is_null_counts_as_not_given(sampled: Sampled, way: Way) -> None:
    if way is not EVENT_SOURCE:
        nothing = dict.fromkeys([*INNER, *STRUCTURED, "stop", "max_time_s", "model"])
        assert await sampled.ask(way, nothing) == SamplingParams()


@every_way
async def test_there_may_be_many_stop_strings_and_not_too_many(sampled: Sampled, way: Way) -> None:
    some = [f"stop {number}" for number in range(MAX_STOP)]
    await sampled.ask(way, {"stop": some})
    refused = await sampled.client.send(way.request("x", stop=[*some, "more"]))
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "stop"
    assert str(MAX_STOP) in refused.json()["error"]["message"]


@every_way
@pytest.mark.parametrize("bias", [{"258": 1}, {"99999": -100}], ids=str)
async def test_a_bias_of_a_token_that_does_not_exist_is_refused(sampled: Sampled, way: Way, bias: Json) -> None:
    if way is not EVENT_SOURCE:
        refused = await sampled.client.send(way.request("x", stream=False, logit_bias=bias))
        assert refused.status_code == 400
        assert "the vocabulary ends at 257" in refused.json()["error"]["message"]
