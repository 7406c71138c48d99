import pytest

from mcp_llama.engine.constraint import Constraints
from mcp_llama.engine.model import DecodeError, Rows
from tests.engine.clock import Clock
from tests.engine.conftest import StartEngine
from tests.engine.constraining import compiled, constrained, constraint_for
from tests.engine.sequences import by_hand, finish, request, run
from tests.fake_model import FakeModel, FakeSampler

NAME = '\\{"name": "[a-z]{3}", "age": [0-9]{2}\\}'
FILLED = '{"name": "bob", "age": 42}'
SAMPLED = 1 + 3 + 2
"""The first token, the letters of the name and the digits of the age."""


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows that were sampled."""
    rows: list[int] = []
    sample = FakeSampler.sample

    def count(sampler: FakeSampler, row: int) -> int:
        rows.append(row)
        return sample(sampler, row)

    monkeypatch.setattr(FakeSampler, "sample", count)
    return rows


def person(prompt: str = "aaa") -> FakeModel:
    model = FakeModel()
    model.script(prompt, FILLED)
    return model


async def test_forced_tokens_are_not_sampled_and_count_as_completion(start: StartEngine, samples: list[int]) -> None:
    model = person()
    result = await run(start(model), constrained(request("aaa", 50), constraint_for(model, "regex", NAME)))
    assert (result.text, result.finish_reason) == (FILLED, "stop")
    assert result.usage.completion_tokens == len(FILLED)
    assert len(samples) == SAMPLED


async def test_forced_tokens_are_computed_together_in_the_next_step(start: StartEngine) -> None:
    model = person()
    await run(start(model), constrained(request("aaa", 50), constraint_for(model, "regex", NAME)))
    assert [bytes(rows.tokens).decode() for rows in model.batches] == [
        "aaa", '{"name": "', "b", "o", 'b", "age": ', "4",
    ]  # fmt: skip
    assert all(rows.outputs == [False] * (len(rows) - 1) + [True] for rows in model.batches)


async def test_forced_tokens_of_more_than_a_batch_are_computed_in_pieces(start: StartEngine) -> None:
    model = FakeModel(n_batch=8)
    model.script("aaa", "x" * 40 + "7")
    result = await run(start(model), constrained(request("aaa", 50), constraint_for(model, "regex", "x{40}[0-9]")))
    assert result.text == "x" * 40 + "7"
    assert [len(rows) for rows in model.batches] == [3, 8, 8, 8, 8, 8]


@pytest.mark.parametrize("max_tokens", range(1, len(FILLED) + 2))
async def test_forced_tokens_never_exceed_max_tokens(start: StartEngine, max_tokens: int) -> None:
    model = person()
    result = await run(start(model), constrained(request("aaa", max_tokens), constraint_for(model, "regex", NAME)))
    assert result.text == FILLED[:max_tokens]
    assert result.usage.completion_tokens == min(max_tokens, len(FILLED))
    assert result.finish_reason == ("stop" if max_tokens >= len(FILLED) else "length")


async def test_nothing_is_forced_beyond_the_context(start: StartEngine) -> None:
    model = FakeModel(n_ctx=20)
    result = await run(start(model), constrained(request("aaa", 17), constraint_for(model, "regex", "x{300}")))
    assert (result.text, result.finish_reason) == ("x" * 17, "length")


@pytest.mark.parametrize(
    ("stop", "text", "completion_tokens"),
    [
        ("name", '{"', 6),
        ('": "', '{"name', 10),
        ('", "', '{"name": "bob', 17),
        ('e": 4', '{"name": "bob", "ag', 24),
    ],
)
async def test_a_stop_string_within_forced_text_ends_it_there(
    start: StartEngine, stop: str, text: str, completion_tokens: int
) -> None:
    model = person()
    asked = constrained(request("aaa", 50, stop=[stop]), constraint_for(model, "regex", NAME))
    result = await run(start(model), asked)
    assert (result.text, result.finish_reason, result.stop) == (text, "stop", stop)
    assert result.usage.completion_tokens == completion_tokens


async def test_forced_text_is_joined_where_characters_span_tokens(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", "é🙂→é")
    asked = constrained(request("aaa", 50), constraint_for(model, "regex", "é(🙂→|🙂←)é"))
    async with start(model).generate(asked) as generation:
        texts = [delta.text async for delta in generation]
        result = await generation.result()
    assert "".join(texts) == result.text
    assert result.text.startswith("é🙂")
    assert result.text.endswith("é")
    assert len(result.text) == 4


async def test_a_forced_character_that_max_tokens_cut_is_dropped(start: StartEngine) -> None:
    model = FakeModel()
    result = await run(start(model), constrained(request("aaa", 4), constraint_for(model, "regex", "a🙂")))
    assert (result.text, result.usage.completion_tokens, result.finish_reason) == ("a", 4, "length")


async def test_with_log_probabilities_every_token_is_sampled_and_has_its_own(
    start: StartEngine, samples: list[int]
) -> None:
    model = person()
    asked = constrained(request("aaa", 50, top_logprobs=1), constraint_for(model, "regex", NAME))
    result = await run(start(model), asked)
    assert result.text == FILLED
    assert len(samples) == len(result.logprobs) == result.usage.completion_tokens == len(FILLED)
    assert b"".join(entry.sampled.piece for entry in result.logprobs).decode() == FILLED
    assert [entry.offset for entry in result.logprobs] == list(range(len(FILLED)))


async def test_a_marker_that_is_forced_is_one_token(start: StartEngine) -> None:
    model = FakeModel()
    marker = model.piece("<call>")
    model.script("aaa", "x")
    constraints = Constraints(model.grammar_tokenizer(), (b"<call>",))
    constraint = compiled("lark", 'start: /[xy]/ " <call> go" /[a-z]/', constraints)
    result = await run(start(model), constrained(request("aaa", 50), constraint))
    assert (result.text[:-1], result.finish_reason) == ("x <call> go", "stop")
    assert model.batches[1].tokens == [*b"x ", marker, *b" go"]


async def test_a_free_neighbour_keeps_its_row_in_every_step(start: StartEngine) -> None:
    model = FakeModel(n_batch=8)
    model.gate.shut()
    engine = start(model)
    constraint = constraint_for(model, "regex", "x{40}[0-9]")
    async with (
        engine.generate(request("bbb", 12)) as free,
        engine.generate(constrained(request("aaa", 50), constraint)) as bound,
    ):
        await model.gate.held()
        model.gate.open()
        assert (await finish(bound)).text[:40] == "x" * 40
        assert (await finish(free)).text == by_hand("bbb", 12)
    assert all(0 in rows.slots for rows in model.batches[:11])


async def test_forced_tokens_go_before_the_prompts_of_others(start: StartEngine) -> None:
    model = FakeModel(n_batch=8)
    model.gate.shut()
    engine = start(model)
    async with engine.generate(constrained(request("aaa", 50), constraint_for(model, "regex", "x{14}[0-9]"))) as bound:
        await model.gate.held()
        async with engine.generate(request("p" * 30, 3)) as prompted:
            model.gate.step()
            await model.gate.held()
            assert model.batches[1].slots == [0] * 8
            model.gate.open()
            assert (await finish(prompted)).text == by_hand("p" * 30, 3)
            assert (await finish(bound)).text[:14] == "x" * 14


@pytest.mark.parametrize("can_cut", [True, False])
async def test_forced_tokens_survive_a_decode_that_was_aborted(start: StartEngine, can_cut: bool) -> None:
    model = FakeModel(can_cut=can_cut)
    model.script("aaa", FILLED)
    model.gate.shut()
    engine = start(model)
    asked = constrained(request("aaa", 50), constraint_for(model, "regex", NAME))
    async with engine.generate(asked) as bound:
        await model.gate.held()
        async with engine.generate(request("0123456789" * 5)):
            model.gate.step()
            await model.gate.held()
            assert len(model.batches[1]) == 60
        model.gate.open()
        result = await finish(bound)
    assert (result.text, result.usage.completion_tokens) == (FILLED, len(FILLED))


@pytest.mark.parametrize("can_cut", [True, False])
async def test_forced_tokens_survive_a_decode_that_another_sequence_broke(start: StartEngine, can_cut: bool) -> None:
    model = FakeModel(can_cut=can_cut)
    model.script("aaa", FILLED)

    def fault(rows: Rows) -> Exception | None:
        return DecodeError("broken") if ord("p") in rows.tokens else None

    model.fault = fault
    model.gate.shut()
    engine = start(model)
    asked = constrained(request("aaa", 50), constraint_for(model, "regex", NAME))
    async with engine.generate(asked) as bound:
        await model.gate.held()
        async with engine.generate(request("ppp")) as broken:
            model.gate.open()
            with pytest.raises(Exception, match="could not compute"):
                await finish(broken)
            result = await finish(bound)
    assert (result.text, result.usage.completion_tokens) == (FILLED, len(FILLED))


async def test_leaving_while_forced_tokens_wait_keeps_what_was_computed_of_them(start: StartEngine) -> None:
    model = FakeModel(n_slots=1, n_batch=8)
    model.gate.shut()
    engine = start(model)
    constraint = constraint_for(model, "regex", "x{40}[0-9]")
    async with engine.generate(constrained(request("aaa", 50), constraint)):
        model.gate.step(2)
        await model.gate.held()
    model.gate.open()
    again = await run(engine, request("aaa" + "x" * 40 + "?", 4))
    assert constraint.is_closed
    # The decode in flight when the caller left has ended.
    assert again.usage.cached_tokens == 3 + 16
    assert again.text == by_hand("aaa" + "x" * 40 + "?", 4)


async def test_a_deadline_while_forced_tokens_wait_ends_with_their_text(start: StartEngine, clock: Clock) -> None:
    model = FakeModel(n_batch=8)
    model.gate.shut()
    engine = start(model)
    constraint = constraint_for(model, "regex", "x{40}[0-9]")
    async with engine.generate(constrained(request("aaa", 50, deadline=clock.now + 5), constraint)) as bound:
        model.gate.step(2)
        await model.gate.held()
        clock.now += 5
        model.gate.open()
        result = await finish(bound)
    assert (result.text, result.finish_reason, result.usage.completion_tokens) == ("x" * 40, "time", 40)


async def test_deltas_tell_of_forced_tokens_with_their_text(start: StartEngine) -> None:
    model = FakeModel(n_batch=8)
    model.script("aaa", "x" * 20 + "7")
    asked = constrained(request("aaa", 50), constraint_for(model, "regex", "x{20}[0-9]"))
    text = ""
    async with start(model).generate(asked) as generation:
        async for delta in generation:
            text += delta.text
            assert delta.completion_tokens == len(text)
    assert text == "x" * 20 + "7"
