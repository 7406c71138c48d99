import re

import pytest

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.sampling import SamplingParams
from mcp_llama.errors import BusyError, ContextLengthError, RequestError
from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, finish, request, run
from tests.fake_model import FakeModel


async def test_an_empty_prompt_is_refused(start: StartEngine) -> None:
    with pytest.raises(RequestError, match=re.escape("The prompt is empty. Send at least one token.")):
        start(FakeModel()).generate(request(""))


@pytest.mark.parametrize("max_tokens", [0, -1])
async def test_max_tokens_below_one_are_refused(start: StartEngine, max_tokens: int) -> None:
    with pytest.raises(RequestError, match=f"^max_tokens is {max_tokens}, but it must be at least 1.$"):
        start(FakeModel()).generate(request("aaa", max_tokens))


@pytest.mark.parametrize(("prompt_tokens", "max_tokens"), [(20, 13), (32, 1), (40, 1)])
async def test_what_does_not_fit_the_context_is_refused_with_the_numbers(
    start: StartEngine, prompt_tokens: int, max_tokens: int
) -> None:
    with pytest.raises(ContextLengthError) as refused:
        start(FakeModel(n_ctx=32)).generate(request("a" * prompt_tokens, max_tokens))
    error = refused.value
    assert (error.prompt_tokens, error.max_tokens, error.limit) == (prompt_tokens, max_tokens, 32)


async def test_what_just_fits_the_context_runs_to_its_end(start: StartEngine) -> None:
    result = await run(start(FakeModel(n_ctx=32)), request("a" * 20, max_tokens=12))
    assert (result.finish_reason, result.text) == ("length", by_hand("a" * 20, 12))


async def test_a_full_queue_refuses_with_the_numbers_until_there_is_room(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.gate.shut()
    engine = start(model, EngineLimits(max_queue=2))
    async with engine.generate(request("aaa")) as a, engine.generate(request("bbb")) as b:
        async with engine.generate(request("ccc")):
            with pytest.raises(BusyError, match="2 requests are waiting already") as busy:
                await run(engine, request("ddd"))
            assert busy.value.retry_after_s >= 1
        model.gate.open()
        await finish(a)
        assert (await run(engine, request("ddd"))).text == by_hand("ddd", 8)
        await finish(b)


async def test_waiting_prompt_tokens_are_bounded(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.gate.shut()
    engine = start(model, EngineLimits(max_queue_tokens=10))
    async with engine.generate(request("aaa")) as a:
        await model.gate.held()
        async with engine.generate(request("b" * 8)):
            with pytest.raises(BusyError, match="8 prompt tokens are waiting already"):
                await run(engine, request("ccc"))
            model.gate.open()
            await finish(a)
    assert (await run(engine, request("ccc"))).text == by_hand("ccc", 8)


async def test_every_way_to_end_leaves_the_queue(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    engine = start(model, EngineLimits(max_queue=3, max_queue_tokens=9))
    for _ in range(20):
        await run(engine, request("aaa", max_tokens=2))
        model.gate.shut()
        async with engine.generate(request("aaa")):
            await model.gate.held()
            async with engine.generate(request("bbb")):
                pass
        model.gate.open()
        with pytest.raises(RequestError):
            await run(engine, request("ccc", sampling=SamplingParams(seed=0, logit_bias=((10**6, 1.0),))))


async def test_sampling_that_the_model_refuses_ends_only_its_own_request(start: StartEngine) -> None:
    engine = start(FakeModel(n_slots=2))
    bad = SamplingParams(seed=0, logit_bias=((10**6, 1.0),))
    async with engine.generate(request("aaa", 50)) as a:
        with pytest.raises(RequestError, match=re.escape("logit_bias names token 1000000")):
            await run(engine, request("bbb", sampling=bad))
        assert (await finish(a)).text == by_hand("aaa", 50)
    assert (await run(engine, request("bbb"))).text == by_hand("bbb", 8)
