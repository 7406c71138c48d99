import math
from contextlib import suppress
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.engine.sampling import MAX_SEED, SamplingParams
from mcp_llama.errors import RequestError, UnknownNameError

BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 100.0),
    "dynatemp_range": (0.0, 100.0),
    "dynatemp_exponent": (0.0, 100.0),
    "top_k": (0, 2**31 - 1),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "top_n_sigma": (-1.0, 100.0),
    "xtc_probability": (0.0, 1.0),
    "xtc_threshold": (0.0, 1.0),
    "dry_multiplier": (0.0, 100.0),
    "dry_base": (1.0, 100.0),
    "dry_allowed_length": (0, 2**20),
    "dry_penalty_last_n": (-1, 2**20),
    "mirostat": (0, 2),
    "mirostat_tau": (0.0, 100.0),
    "mirostat_eta": (0.0, 1.0),
    "repeat_penalty": (0.01, 100.0),
    "repeat_last_n": (-1, 2**20),
    "presence_penalty": (-100.0, 100.0),
    "frequency_penalty": (-100.0, 100.0),
    "seed": (0, MAX_SEED),
}
options = [f.name for f in fields(SamplingParams)]
numbers = pytest.mark.parametrize("name", BOUNDS)
whole_numbers = pytest.mark.parametrize("name", [n for n, (low, _) in BOUNDS.items() if isinstance(low, int)])


def repr_start(value: object) -> str:
    return "int" if isinstance(value, int) else repr(value)[:5]


def overridden(name: str, value: object) -> object:
    return getattr(SamplingParams().override({name: value}), name)


def refusal(name: str, value: object) -> str:
    with pytest.raises(RequestError) as refused:
        SamplingParams().override({name: value})
    return str(refused.value)


def test_every_option_is_a_bounded_number_or_tested_by_name() -> None:
    assert set(options) == {*BOUNDS, "logit_bias", "dry_sequence_breakers", "ignore_eos"}


@numbers
def test_a_number_on_its_bounds_is_taken(name: str) -> None:
    assert [overridden(name, bound) for bound in BOUNDS[name]] == list(BOUNDS[name])


@numbers
def test_a_number_outside_its_bounds_is_refused_with_name_and_bounds(name: str) -> None:
    low, high = BOUNDS[name]
    for value in (math.nextafter(low, -math.inf), high + 1, -(10**400), 10**400, math.inf, -math.inf, math.nan):
        message = refusal(name, value)
        assert message.startswith(f"{name} is {repr(value)[:80]}")
        assert "but it must be a" in message
        assert message.endswith(f"number from {low:g} to {high:g}.") or isinstance(low, int)


@whole_numbers
def test_the_bounds_of_a_whole_number_are_given_in_full(name: str) -> None:
    low, high = BOUNDS[name]
    message = refusal(name, high + 1)
    assert message.replace(",", "") == f"{name} is {high + 1} but it must be a whole number from {low} to {high}."


@numbers
@pytest.mark.parametrize("value", [True, False, None, "1", [1], {}])
def test_what_is_not_a_number_is_refused(name: str, value: object) -> None:
    if (name, value) != ("seed", None):
        assert refusal(name, value).startswith(f"{name} is {value!r}, but it must be a")


@whole_numbers
def test_a_whole_number_may_be_written_as_a_float(name: str) -> None:
    value = overridden(name, 1.0)
    assert (value, type(value)) == (1, int)


@whole_numbers
def test_a_fraction_is_no_whole_number(name: str) -> None:
    assert f"{name} is 1.5, but it must be a whole number" in refusal(name, 1.5)


def test_an_integer_is_taken_for_a_real_number() -> None:
    value = overridden("temperature", 1)
    assert (value, type(value)) == (1.0, float)


def test_a_null_seed_means_random() -> None:
    assert SamplingParams(seed=3).override({"seed": None}).seed is None


@pytest.mark.parametrize("value", [0, 1, None, "true"])
def test_ignore_eos_takes_only_a_boolean(value: object) -> None:
    assert refusal("ignore_eos", value) == f"ignore_eos is {value!r}, but it must be true or false."
    assert overridden("ignore_eos", True) is True


def test_an_unknown_option_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError) as refused:
        SamplingParams().override({"temprature": 1})
    assert str(refused.value) == "Unknown sampling option 'temprature'. Did you mean 'temperature'?"


def test_override_changes_only_what_is_named() -> None:
    before = SamplingParams(top_k=7, seed=1)
    after = before.override({"top_p": 0.5, "dry_sequence_breakers": ["\n"]})
    changed = {f.name for f in fields(SamplingParams) if getattr(before, f.name) != getattr(after, f.name)}
    assert changed == {"top_p", "dry_sequence_breakers"}


@pytest.mark.parametrize(
    ("value", "biases"),
    [({}, ()), ({"15496": -100}, ((15496, -100.0),)), ({7: 1.5, "8": -math.inf}, ((7, 1.5), (8, -math.inf)))],
)
def test_logit_bias_maps_token_ids_to_numbers(value: object, biases: object) -> None:
    assert overridden("logit_bias", value) == biases


@pytest.mark.parametrize(
    "value",
    [
        None,
        [[1, 2]],
        {"-1": 1},
        {"1.5": 1},
        {"hello": 1},
        {True: 1},
        {"1": "2"},
        {"1": True},
        {"1": None},
        {"1": math.nan},
        {"1": math.inf},
        {"1": 10**400},
        {"9" * 5000: 1},
    ],
)
def test_a_logit_bias_of_another_shape_is_refused(value: object) -> None:
    assert refusal("logit_bias", value).startswith("logit_bias is ")


def test_breakers_are_a_list_of_texts() -> None:
    assert overridden("dry_sequence_breakers", ["\n", "中"]) == ("\n", "中")
    assert overridden("dry_sequence_breakers", []) == ()


@pytest.mark.parametrize("value", ["\n", None, [""], [1], ["a", None], {"a": 1}, ["\ud800"]])
def test_breakers_of_another_shape_are_refused(value: object) -> None:
    message = refusal("dry_sequence_breakers", value)
    assert message == f"dry_sequence_breakers is {value!r}, but it must be a list of non-empty strings."


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.sampled_from(options), json_values)
def test_a_json_value_is_taken_or_refused_but_never_breaks_the_check(name: str, value: object) -> None:
    with suppress(RequestError):
        SamplingParams().override({name: value})
