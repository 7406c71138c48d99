import math

import anyio
import pytest

from mcp_llama.api import TokenLogprob
from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.types import TokenDelta
from tests.engine.clock import Clock
from tests.engine.conftest import StartEngine
from tests.engine.sequences import admission, by_hand, finish, request, run, run_all
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S


def joined(entries: tuple[TokenLogprob, ...]) -> bytes:
    return b"".join(entry.sampled.piece for entry in entries)


async def stepped(start: StartEngine, model: FakeModel, prompt: str, *, stop: tuple[str, ...] = ()) -> list[TokenDelta]:
    """The deltas of a request whose reader takes each one before the next is made."""
    model.gate.shut()
    engine = start(model)
    deltas: list[TokenDelta] = []
    with anyio.fail_after(PATIENCE_S):
        async with engine.generate(request(prompt, stop=stop, top_logprobs=0)) as generation:
            await admission(generation)
            while not deltas or deltas[-1].finish is None:
                await model.gate.held()
                model.gate.step()
                delta = await generation.next()
                assert delta is not None
                deltas.append(delta)
    return deltas


def shown(deltas: list[TokenDelta]) -> list[tuple[str, list[bytes], list[int]]]:
    """Text, pieces and offsets of each delta."""
    return [(d.text, [e.sampled.piece for e in d.logprobs], [e.offset for e in d.logprobs]) for d in deltas]


async def test_every_sampled_token_has_an_entry_with_the_likeliest_at_its_place(start: StartEngine) -> None:
    result = await run(start(FakeModel()), request("aaa", 6, top_logprobs=3))
    assert joined(result.logprobs).decode() == result.text == by_hand("aaa", 6)
    assert [entry.offset for entry in result.logprobs] == [0, 1, 2, 3, 4, 5]
    for entry in result.logprobs:
        token = entry.sampled.token
        assert entry.sampled.logprob == math.log(0.5)
        assert [other.token for other in entry.top] == [token, token + 1, token + 2]
        assert [other.logprob for other in entry.top] == [math.log(0.5), math.log(0.25), math.log(0.125)]


async def test_zero_asks_for_the_sampled_tokens_alone(start: StartEngine) -> None:
    result = await run(start(FakeModel()), request("aaa", 3, top_logprobs=0))
    assert [entry.top for entry in result.logprobs] == [(), (), ()]


async def test_without_being_asked_the_model_is_not_asked_either(
    start: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = FakeModel()
    monkeypatch.setattr(model, "logprobs", None)
    assert (await run(start(model), request("aaa", 3))).logprobs == ()


async def test_entries_come_with_their_text(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["on", "ce", " ", "more"])
    assert shown(await stepped(start, model, "aaa")) == [
        ("on", [b"on"], [0]),
        ("ce", [b"ce"], [2]),
        (" ", [b" "], [4]),
        ("more", [b"more"], [5]),
        ("", [], []),
    ]


async def test_the_end_of_a_generation_has_no_entry(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", "ab")
    result = await run(start(model), request("aaa", top_logprobs=1))
    assert (result.finish_reason, len(result.logprobs)) == ("stop", 2)


async def test_what_is_held_back_for_a_stop_string_has_its_entries_held_back(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["x", "</", "e", "m>", "y"])
    assert shown(await stepped(start, model, "aaa", stop=("</end>",))) == [
        ("x", [b"x"], [0]),
        ("", [], []),
        ("", [], []),
        ("</em>", [b"</", b"e", b"m>"], [1, 3, 4]),
        ("y", [b"y"], [6]),
        ("", [], []),
    ]


@pytest.mark.parametrize(
    ("pieces", "text", "kept"),
    [
        (["x", "<e", "nd>"], "x", [b"x"]),
        (["x", "y<e", "nd>"], "xy", [b"x", b"y<e"]),
        (["x<end>y"], "x", [b"x<end>y"]),
        (["<end>"], "", []),
        (["x", "<e", "x", "<", "end>"], "x<ex", [b"x", b"<e", b"x"]),
    ],
)
async def test_tokens_that_a_stop_string_took_away_have_no_entries(
    start: StartEngine, pieces: list[str], text: str, kept: list[bytes]
) -> None:
    model = FakeModel()
    model.script("aaa", pieces)
    result = await run(start(model), request("aaa", 20, stop=["<end>"], top_logprobs=1))
    assert (result.text, result.stop) == (text, "<end>")
    assert [entry.sampled.piece for entry in result.logprobs] == kept


async def test_what_is_held_back_in_vain_at_the_end_keeps_its_entries(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["x", "</", "en", "tirely"])
    result = await run(start(model), request("aaa", 3, stop=["</end>"], top_logprobs=0))
    assert (result.text, result.finish_reason) == ("x</en", "length")
    assert joined(result.logprobs) == b"x</en"


async def test_the_parts_of_a_character_come_together_at_one_offset(start: StartEngine) -> None:
    model = FakeModel()
    smile = "🙂".encode()
    model.script("aaa", ["é", smile[:1], smile[1:3], smile[3:] + b"!", "."])
    assert shown(await stepped(start, model, "aaa")) == [
        ("é", ["é".encode()], [0]),
        ("", [], []),
        ("", [], []),
        ("🙂!", [smile[:1], smile[1:3], smile[3:] + b"!"], [1, 1, 1]),
        (".", [b"."], [3]),
        ("", [], []),
    ]


async def test_an_unfinished_character_at_the_end_keeps_its_entries(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["x", b"\xf0\x9f", b"\x99"])
    result = await run(start(model), request("aaa", 3, top_logprobs=0))
    assert (result.text, joined(result.logprobs)) == ("x", b"x\xf0\x9f\x99")


async def test_tokens_without_text_have_entries(start: StartEngine) -> None:
    model = FakeModel()
    model.script("aaa", ["a", b"", "b", b""])
    result = await run(start(model), request("aaa", top_logprobs=0))
    assert [(entry.sampled.piece, entry.offset) for entry in result.logprobs] == [
        (b"a", 0),
        (b"", 1),
        (b"b", 1),
        (b"", 2),
    ]


async def test_deltas_that_nobody_took_in_time_keep_all_entries_in_order(start: StartEngine) -> None:
    engine = start(FakeModel(), EngineLimits(unread_limit=5))
    async with engine.generate(request("aaa", 12, top_logprobs=1)) as slow:
        await run(engine, request("bbb", 50))
        delta = await slow.next()
        assert delta is not None
        assert joined(delta.logprobs).decode() == delta.text == by_hand("aaa", 5)
        result = await finish(slow)
    assert joined(result.logprobs).decode() == result.text == by_hand("aaa", 12)
    assert [entry.offset for entry in result.logprobs] == list(range(12))


async def test_a_request_that_ends_early_has_the_entries_of_its_text(start: StartEngine, clock: Clock) -> None:
    model = FakeModel()
    model.gate.shut()
    engine = start(model)
    late = engine.generate(request("aaa", 50, deadline=clock.now + 10, top_logprobs=0))
    left = engine.generate(request("bbb", 50, top_logprobs=0))
    async with late, left:
        model.gate.step(4)
        await model.gate.held()
        clock.now += 10
        left.stop()
        model.gate.open()
        results = [await finish(late), await finish(left)]
    assert [result.finish_reason for result in results] == ["time", "abort"]
    assert all(joined(result.logprobs).decode() == result.text != "" for result in results)


async def test_entries_are_the_same_alone_and_with_neighbours(start: StartEngine) -> None:
    engine = start(FakeModel(n_batch=7))
    asked = [request(prompt, 9, top_logprobs=2) for prompt in ("a", "ab", "the same start, one", "the same start, two")]
    together = await run_all(engine, *asked, request("a neighbour that does not ask", 30))
    alone = [await run(start(FakeModel()), each) for each in asked]
    assert [result.logprobs for result in together[:4]] == [result.logprobs for result in alone]
    assert together[4].logprobs == ()
