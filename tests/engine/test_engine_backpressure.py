from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.types import TokenDelta
from tests.engine.conftest import StartEngine
from tests.engine.sequences import by_hand, finish, request, run
from tests.fake_model import FakeModel

UNREAD_LIMIT = 5


async def test_an_unread_request_pauses_while_others_go_on(start: StartEngine) -> None:
    model = FakeModel()
    engine = start(model, EngineLimits(unread_limit=UNREAD_LIMIT))
    async with engine.generate(request("aaa", max_tokens=100)) as unread:
        assert (await run(engine, request("bbb", max_tokens=50))).text == by_hand("bbb", 50)
        assert unread.sequence.completion_tokens == UNREAD_LIMIT
        slot = unread.sequence.slot
        assert slot is not None
        assert len(model.slots[slot.id]) == len("aaa") + UNREAD_LIMIT - 1


async def test_what_was_not_read_comes_as_one_delta(start: StartEngine) -> None:
    engine = start(FakeModel(), EngineLimits(unread_limit=UNREAD_LIMIT))
    async with engine.generate(request("aaa", max_tokens=100)) as unread:
        await run(engine, request("bbb", max_tokens=50))
        delta = await unread.next()
    assert delta is not None
    assert delta.text == by_hand("aaa", UNREAD_LIMIT)
    assert (delta.computed_tokens, delta.completion_tokens) == (len("aaa") + UNREAD_LIMIT, UNREAD_LIMIT)


async def test_reading_resumes_a_paused_request_and_nothing_is_lost(start: StartEngine) -> None:
    engine = start(FakeModel(), EngineLimits(unread_limit=UNREAD_LIMIT))
    deltas: list[TokenDelta] = []
    async with engine.generate(request("aaa", max_tokens=4 * UNREAD_LIMIT)) as slow:
        for _ in range(3):
            await run(engine, request("bbb", max_tokens=50))
            delta = await slow.next()
            assert delta is not None
            deltas.append(delta)
        result = await finish(slow)
    assert all(delta.completion_tokens >= UNREAD_LIMIT for delta in deltas)
    assert result.text == by_hand("aaa", 4 * UNREAD_LIMIT)
    assert result.finish_reason == "length"


async def test_a_reader_that_keeps_up_is_never_paused(start: StartEngine) -> None:
    engine = start(FakeModel(), EngineLimits(unread_limit=1))
    assert (await run(engine, request("aaa", max_tokens=60))).text == by_hand("aaa", 60)
