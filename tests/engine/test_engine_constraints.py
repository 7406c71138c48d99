from contextlib import AsyncExitStack

import pytest

from mcp_llama.engine.constraint import Constraint
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.model import DecodeError
from mcp_llama.errors import BusyError, ConstraintError, EngineError
from tests.engine.clock import Clock
from tests.engine.conftest import StartEngine
from tests.engine.constraining import constrained, constraint_for
from tests.engine.sequences import by_hand, finish, request, run, run_all
from tests.fake_model import FakeModel

WORDS = "([a-z]{3} ){2,9}"


def regex(model: FakeModel, pattern: str) -> Constraint:
    return constraint_for(model, "regex", pattern)


async def test_the_text_is_what_the_constraint_allows_and_the_models_where_it_may_choose(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", "x5y7z")
    constraint = regex(model, "[a-z][0-9][b-d][0-9]")
    result = await run(start(model), constrained(request("aaa", 20), constraint))
    assert (result.text, result.finish_reason, result.stop) == ("x5b7", "stop", None)
    assert constraint.is_closed


async def test_a_complete_text_ends_without_another_decode(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", "xyzxyz")
    result = await run(start(model), constrained(request("aaa", 20), regex(model, "[a-z]{3}")))
    assert (result.text, result.finish_reason, result.usage.completion_tokens) == ("xyz", "stop", 3)
    assert len(model.batches) == 3


@pytest.mark.parametrize(("max_tokens", "reason"), [(2, "length"), (3, "stop"), (4, "stop")])
async def test_a_text_that_is_complete_with_its_last_token_is_a_stop_not_a_length(
    start: StartEngine, max_tokens: int, reason: str
) -> None:
    model = FakeModel()
    model.script("aaa", "xyzxyz")
    result = await run(start(model), constrained(request("aaa", max_tokens), regex(model, "[a-z]{3}")))
    assert (result.text, result.finish_reason) == ("xyz"[:max_tokens], reason)


async def test_the_model_may_end_a_text_that_may_end_and_no_other(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", "xy")
    model.script("bbb", "xyzx")
    engine = start(model)
    early, later = [
        await run(engine, constrained(request(prompt, 20), regex(model, "[a-z]{3,}"))) for prompt in ("aaa", "bbb")
    ]
    assert early.text.startswith("xya")
    assert (later.text, later.finish_reason, later.usage.completion_tokens) == ("xyzx", "stop", 4)


async def test_a_stop_string_ends_a_constrained_text(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", "abc def ghi ")
    result = await run(start(model), constrained(request("aaa", 40, stop=["def"]), regex(model, WORDS)))
    assert (result.text, result.finish_reason, result.stop) == ("abc ", "stop", "def")


async def test_constrained_and_free_sequences_share_batches_and_change_nothing_of_each_other(
    start: StartEngine,
) -> None:
    model = FakeModel()
    asked = [request(prompt, 12) for prompt in ("aaa", "bbb", "ccc")]
    patterns = ["[a-m]{12}", "[n-z]{12}"]
    alone = [
        await run(start(fresh := FakeModel()), constrained(each, regex(fresh, pattern)))
        for each, pattern in zip(asked, patterns, strict=False)
    ]
    model.gate.shut()
    engine = start(model)
    shared = [constrained(each, regex(model, pattern)) for each, pattern in zip(asked, patterns, strict=False)]
    async with AsyncExitStack() as stack:
        generations = [await stack.enter_async_context(engine.generate(each)) for each in (*shared, asked[2])]
        await model.gate.held()
        model.gate.open()
        together = [await finish(generation) for generation in generations]
    assert [result.text for result in together[:2]] == [result.text for result in alone]
    assert together[2].text == by_hand("ccc", 12)
    assert any(len(set(rows.slots)) == 3 for rows in model.batches)


async def test_a_grammar_that_allows_no_text_fails_its_request_alone(start: StartEngine) -> None:
    model = FakeModel()
    engine = start(model)
    impossible = constraint_for(model, "lark", "start: start")
    model.gate.shut()
    async with (
        engine.generate(request("bbb")) as free,
        engine.generate(constrained(request("aaa"), impossible)) as bound,
    ):
        await model.gate.held()
        model.gate.open()
        with pytest.raises(ConstraintError, match="Give it an end"):
            await finish(bound)
        assert (await finish(free)).text == by_hand("bbb", 8)
    assert impossible.is_closed


async def test_leaving_in_the_middle_frees_slot_and_constraint(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.gate.shut()
    engine = start(model)
    constraint = regex(model, "[a-z]*")
    async with engine.generate(constrained(request("aaa", 100), constraint)):
        model.gate.step(3)
        await model.gate.held()
        assert not constraint.is_closed
    model.gate.open()
    assert (await run(engine, request("bbb"))).text == by_hand("bbb", 8)
    assert constraint.is_closed


async def test_leaving_while_queued_frees_the_constraint(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.gate.shut()
    engine = start(model)
    constraint = regex(model, "[a-z]*")
    async with engine.generate(request("aaa")) as running:
        await model.gate.held()
        async with engine.generate(constrained(request("bbb", 100), constraint)):
            pass
        model.gate.open()
        assert (await finish(running)).text == by_hand("aaa", 8)
    assert (await run(engine, request("ccc"))).text == by_hand("ccc", 8)
    assert constraint.is_closed


async def test_leaving_while_paused_frees_slot_and_constraint(start: StartEngine) -> None:
    model = FakeModel(n_slots=2)
    engine = start(model, EngineLimits(unread_limit=3))
    constraint = regex(model, "[a-z]*")
    async with engine.generate(constrained(request("aaa", 40), constraint)) as paused:
        await run(engine, request("bbb", 40))
        assert paused.sequence.paused_since is not None
        assert not constraint.is_closed
    results = await run_all(engine, request("ccc"), request("ddd"))
    assert [result.text for result in results] == [by_hand("ccc", 8), by_hand("ddd", 8)]
    assert constraint.is_closed


async def test_a_deadline_ends_a_constrained_text_with_what_it_has(start: StartEngine, clock: Clock) -> None:
    model = FakeModel()
    model.gate.shut()
    engine = start(model)
    constraint = regex(model, "[a-z]*")
    async with engine.generate(constrained(request("aaa", 100, deadline=clock.now + 5), constraint)) as generation:
        model.gate.step(2)
        await model.gate.held()
        clock.now += 5
        model.gate.open()
        result = await finish(generation)
    assert (result.finish_reason, result.text.isalpha()) == ("time", True)
    assert constraint.is_closed


async def test_a_generation_that_is_never_entered_takes_nothing(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    engine = start(model)
    for _ in range(3):
        engine.generate(constrained(request("aaa"), regex(model, "[a-z]*")))
    assert (await run(engine, request("bbb"))).text == by_hand("bbb", 8)
    assert bytes(model.batches[0].tokens) == b"bbb"


async def test_a_constraint_whose_request_is_refused_may_be_asked_with_again(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.gate.shut()
    engine = start(model, EngineLimits(max_queue=0))
    asked = constrained(request("aaa"), regex(model, "abc"))
    async with engine.generate(request("bbb")) as running:
        await model.gate.held()
        with pytest.raises(BusyError):
            await engine.generate(asked).__aenter__()
        model.gate.open()
        await finish(running)
    assert (await run(engine, asked)).text == "abc"


async def test_stopping_the_engine_frees_the_constraints_of_all(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.gate.shut()
    engine = start(model)
    constraints = [regex(model, "[a-z]*"), regex(model, "[a-z]*")]
    first, second = (engine.generate(constrained(request("aaa", 50), constraint)) for constraint in constraints)
    async with first, second:
        model.gate.step(2)
        await model.gate.held()
        engine.stop()
        model.gate.open()
        assert [(await finish(each)).finish_reason for each in (first, second)] == ["abort", "abort"]
    assert all(constraint.is_closed for constraint in constraints)


async def test_a_decode_that_fails_frees_the_constraint(start: StartEngine) -> None:
    model = FakeModel()
    model.fault = lambda rows: DecodeError("broken") if rows.positions[0] >= 4 else None
    engine = start(model)
    constraint = regex(model, "[a-z]*")
    with pytest.raises(EngineError):
        await run(engine, constrained(request("aaa", 50), constraint))
    assert constraint.is_closed


async def test_after_a_constrained_sequence_the_slot_keeps_what_was_computed(start: StartEngine) -> None:
    model = FakeModel(n_slots=1)
    model.script("aaa", "xyz")
    engine = start(model)
    first = await run(engine, constrained(request("aaa", 20), regex(model, "[a-z]{3}hello[a-z]")))
    assert first.text[:8] == "xyzhello"
    again = await run(engine, request("aaa" + first.text + "!", 4))
    # The last token was never computed.
    assert again.usage.cached_tokens == len("aaa" + first.text) - 1
    assert again.text == by_hand("aaa" + first.text + "!", 4)
