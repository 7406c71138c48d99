import pytest

from mcp_llama.engine.sampling import SamplingParams
from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, request, run
from tests.fake_model import FakeModel


async def test_max_tokens_end_a_generation_with_length(start: StartEngine) -> None:
    result = await run(start(FakeModel()), request("aaa", max_tokens=5))
    assert (result.finish_reason, result.stop, result.text) == ("length", None, by_hand("aaa", 5))
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (3, 5)


async def test_one_token_may_be_asked_for(start: StartEngine) -> None:
    model = FakeModel()
    result = await run(start(model), request("aaa", max_tokens=1))
    assert (result.finish_reason, result.text) == ("length", by_hand("aaa", 1))
    assert len(model.batches) == 1


async def test_the_models_own_end_stops_a_generation(start: StartEngine) -> None:
    model = FakeModel()
    model.eog_after = 5
    result = await run(start(model), request("aaa", max_tokens=100))
    assert (result.finish_reason, result.stop, result.text) == ("stop", None, by_hand("aaa", 5))
    assert result.usage.completion_tokens == 5


async def test_a_model_may_end_at_once(start: StartEngine) -> None:
    model = FakeModel()
    model.eog_after = 0
    result = await run(start(model), request("aaa"))
    assert (result.finish_reason, result.text, result.usage.completion_tokens) == ("stop", "", 0)
    assert result.timings.ttft_s is not None


async def test_the_sampler_gets_the_options_of_the_request(start: StartEngine) -> None:
    model = FakeModel()
    model.eog_after = 5
    result = await run(start(model), request("aaa", 9, sampling=SamplingParams(seed=1, ignore_eos=True)))
    assert (result.finish_reason, result.usage.completion_tokens) == ("length", 9)


@pytest.mark.parametrize(
    ("pieces", "stop", "text", "matched", "tokens"),
    [
        (["one", ".", " two"], ["."], "one", ".", 2),
        (["one", "\n", "\nUs", "er:", " two"], ["\n\nUser:"], "one", "\n\nUser:", 4),
        (["one. two. three"], ["two", "one. t"], "", "one. t", 1),
        (["中", "文🙂x"], ["🙂"], "中文", "🙂", 2),
        (["one", " two"], ["three"], "one two", None, 2),
    ],
)
async def test_a_stop_string_ends_a_generation_before_it(
    start: StartEngine, pieces: list[str], stop: list[str], text: str, matched: str | None, tokens: int
) -> None:
    model = FakeModel()
    model.script("aaa", pieces)
    result = await run(start(model), request("aaa", max_tokens=50, stop=stop))
    assert (result.finish_reason, result.text, result.stop) == ("stop", text, matched)
    assert result.usage.completion_tokens == tokens


async def test_a_stop_string_in_the_last_token_is_a_stop_not_a_length(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["one", "."])
    result = await run(start(model), request("aaa", max_tokens=2, stop=["."]))
    assert (result.finish_reason, result.text) == ("stop", "one")


@pytest.mark.parametrize(("max_tokens", "reason"), [(2, "length"), (9, "stop")])
async def test_text_held_back_for_a_stop_string_is_kept_at_the_end(
    start: StartEngine, max_tokens: int, reason: str
) -> None:
    model = FakeModel()
    model.script("aaa", ["one", "\n\n"])
    result = await run(start(model), request("aaa", max_tokens, stop=["\n\n\n"]))
    assert (result.finish_reason, result.text, result.stop) == (reason, "one\n\n", None)


async def test_a_character_cut_by_max_tokens_is_dropped(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", "ab🙂")
    assert (await run(start(model), request("aaa", max_tokens=5))).text == "ab"


async def test_control_tokens_have_no_text(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["a", b"", "b"])
    result = await run(start(model), request("aaa"))
    assert (result.text, result.usage.completion_tokens) == ("ab", 3)


async def test_a_result_has_its_seed_and_its_times_in_order(start: StartEngine) -> None:
    result = await run(start(FakeModel(decode_delay=0.001)), request("aaa", 5, sampling=SamplingParams(seed=77)))
    timings = result.timings
    assert result.seed == 77
    assert timings.ttft_s is not None
    assert 0 <= timings.queue_s < timings.ttft_s < timings.total_s
    rate = timings.decode_tokens_per_second(5)
    assert rate == pytest.approx(4 / (timings.total_s - timings.ttft_s))
