"""What an engine begins with, and what it keeps when it ends."""

import threading
from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread
import pytest

from mcp_llama.api import Result
from mcp_llama.engine.cache_files import CacheFiles
from mcp_llama.engine.contents import Contents
from mcp_llama.engine.engine import Engine
from mcp_llama.engine.model import Rows
from mcp_llama.engine.prefix_cache import StoredPrefix
from tests.engine.sequences import admission, by_hand, finish, request, run
from tests.engine.states import HASH, by_loader, filled, kept, text_tokens
from tests.fake_model import FakeModel
from tests.gate import PATIENCE_S

STORY = "A story of ships and of those who sail them. " * 2
TAIL = "Who?"


def with_files(folder: Path) -> tuple[FakeModel, CacheFiles]:
    model = FakeModel()
    return model, CacheFiles(folder, HASH, model)


async def ask(engine: Engine, prompt: str, count: int = 8) -> Result:
    result = await run(engine, request(prompt, count))
    assert result.text == by_hand(prompt, count)
    return result


async def test_a_prompt_that_begins_as_a_slot_does_is_not_computed_again() -> None:
    model = by_loader(lambda: filled([], list(STORY.encode())))
    engine = Engine(model, contents=Contents(slots={1: list(STORY.encode())}))
    result = await ask(engine, STORY + TAIL)
    assert result.usage.cached_tokens == len(STORY)
    engine.close()


async def test_a_prompt_that_begins_with_a_pinned_prefix_is_not_computed_again() -> None:
    state = filled(list(STORY.encode())).save(0)
    engine = Engine(FakeModel(), contents=Contents(prefixes=(StoredPrefix(list(STORY.encode()), state),)))
    for _ in range(3):
        assert (await ask(engine, STORY + TAIL)).usage.cached_tokens >= len(STORY)
    engine.close()


async def test_the_newest_of_the_slots_is_the_last_to_be_given_away() -> None:
    old, new = text_tokens("old"), text_tokens("new")
    model = by_loader(lambda: filled(new, old, n_slots=2))
    engine = Engine(model, contents=Contents(slots={1: old, 0: new}))
    await ask(engine, "Something else")
    result = await ask(engine, bytes(new).decode() + TAIL)
    assert result.usage.cached_tokens == len(new)
    engine.close()


@pytest.mark.parametrize("by", ["close", "stop"])
async def test_what_was_computed_is_kept_when_the_engine_ends(by: str, tmp_path: Path) -> None:
    model, files = with_files(tmp_path)
    engine = Engine(model, contents=Contents(files=files))
    result = await ask(engine, STORY)
    if by == "stop":
        engine.stop()
    engine.close()
    # The last token was sampled, but not computed.
    assert [bytes(held).decode() for held in kept(tmp_path).values()] == [(STORY + result.text)[:-1]]


async def test_it_is_kept_once_and_before_the_model_is_freed_while_the_last_answers_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, files = with_files(tmp_path)
    saved: list[bool] = []
    done = threading.Event()
    save_slots = CacheFiles.save_slots

    def save(files: CacheFiles, held: Mapping[int, list[int]]) -> None:
        save_slots(files, held)
        saved.append(model.closed)
        done.set()

    monkeypatch.setattr(CacheFiles, "save_slots", save)
    engine = Engine(model, contents=Contents(files=files))
    await ask(engine, STORY)
    engine.stop()
    assert await anyio.to_thread.run_sync(done.wait, PATIENCE_S)
    engine.close()
    assert saved == [False]


async def test_an_answer_that_is_cut_off_by_the_end_is_kept_and_delivered_first(tmp_path: Path) -> None:
    model, files = with_files(tmp_path)
    model.gate.shut()
    engine = Engine(model, contents=Contents(files=files))
    async with engine.generate(request(STORY, 100)) as generation:
        await admission(generation)
        model.gate.step(20)
        while (delta := await generation.next()) is not None and not delta.text:
            pass
        engine.stop()
        result = await finish(generation)
    engine.close()
    (held,) = kept(tmp_path).values()
    assert (STORY + by_hand(STORY, 100)).startswith(bytes(held).decode())
    assert len(held) >= len(STORY)
    assert result.finish_reason == "abort"


async def test_a_broken_engine_keeps_nothing(tmp_path: Path) -> None:
    def break_down(_: Rows) -> Exception | None:
        return ValueError("a defect")

    model, files = with_files(tmp_path)
    engine = Engine(model, contents=Contents(files=files))
    await ask(engine, STORY)
    model.fault = break_down
    with pytest.raises(Exception, match="The engine failed"):
        await run(engine, request("Something else"))
    engine.close()
    assert kept(tmp_path) == {}
