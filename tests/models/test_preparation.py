"""What a loader does between loading a model and starting its engine."""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from mcp_llama.api import ChatRequest, Message, Result
from mcp_llama.backends.local import LocalBackend
from mcp_llama.errors import ConfigError, ModelLoadError
from mcp_llama.models.preparation import Preparation, read_preparation
from tests.backends.one_model import backend_of
from tests.fake_model import FakeModel
from tests.models.loading import PATIENCE_S

SYSTEM = "You are careful, brief and friendly, and you never invent what you do not know."
PREFIX = len(f"<system>{SYSTEM}\n<user>") + 1


@pytest.fixture
def warm(tmp_path: Path) -> Path:
    path = tmp_path / "warm.txt"
    path.write_text(SYSTEM, encoding="utf-8")
    return path


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF one")
    return path


class Servers:
    """Starts backends one after the other, as a server that is started again and again."""

    def __init__(self) -> None:
        self.open: list[LocalBackend] = []

    def start(self, preparation: Preparation, model: FakeModel | None = None) -> tuple[LocalBackend, FakeModel]:
        model = model or FakeModel()

        def load(report: Callable[[float], bool]) -> FakeModel:
            report(1.0)
            return model

        backend = backend_of("small", load, preparation=preparation)
        self.open.append(backend)
        return backend, model


@pytest.fixture
def servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    for backend in servers.open:
        anyio.run(backend.close)


def messages(question: str) -> tuple[Message, ...]:
    return Message(role="system", content=SYSTEM), Message(role="user", content=question)


async def ask(backend: LocalBackend, *said: Message) -> Result:
    with anyio.fail_after(PATIENCE_S):
        async with await backend.chat(ChatRequest(messages=said)) as generation:
            return await generation.result()


async def test_the_first_chat_finds_the_system_message_computed(servers: Servers, warm: Path, model_file: Path) -> None:
    backend, model = servers.start(read_preparation([warm], None, model_file))
    cold, other = servers.start(Preparation())
    model.eog_after = other.eog_after = 20
    result = await ask(backend, *messages("Why?"))
    assert result.usage.cached_tokens == PREFIX
    expected = await ask(cold, *messages("Why?"))
    assert (result.text, expected.usage.cached_tokens) == (expected.text, 0)


async def test_it_stays_whatever_the_slots_hold_in_the_meantime(servers: Servers, warm: Path, model_file: Path) -> None:
    backend, model = servers.start(read_preparation([warm], None, model_file), FakeModel(n_slots=1, can_cut=False))
    model.eog_after = 5
    for _ in range(3):
        assert (await ask(backend, *messages("Why?"))).usage.cached_tokens == PREFIX
        assert (await ask(backend, Message(role="user", content="Something else"))).usage.cached_tokens == 0


async def test_several_system_messages_are_all_computed(servers: Servers, warm: Path, model_file: Path) -> None:
    other = warm.with_name("other.txt")
    other.write_text("Talk like a pirate.", encoding="utf-8")
    backend, model = servers.start(read_preparation([warm, other], None, model_file))
    model.eog_after = 5
    said = Message(role="system", content="Talk like a pirate."), Message(role="user", content="Why?")
    assert (await ask(backend, *said)).usage.cached_tokens == len("<system>Talk like a pirate.\n<user>") + 1
    assert (await ask(backend, *messages("Why?"))).usage.cached_tokens == PREFIX


async def test_the_model_is_loading_until_its_system_messages_are_computed(
    servers: Servers, warm: Path, model_file: Path
) -> None:
    backend, model = servers.start(read_preparation([warm], None, model_file))
    model.gate.shut()
    backend.start()
    await model.gate.held()
    assert [(status.state, status.loaded) for status in await backend.models()] == [("loading", 1.0)]
    model.gate.open()
    with anyio.fail_after(PATIENCE_S):
        await backend.ready(None)
    assert backend.status().state == "ready"


async def test_stopping_ends_the_computation_and_frees_the_model(
    servers: Servers, warm: Path, model_file: Path
) -> None:
    backend, model = servers.start(read_preparation([warm], None, model_file))
    model.gate.shut()
    backend.start()
    await model.gate.held()
    backend.stop()
    with anyio.fail_after(PATIENCE_S), pytest.raises(ModelLoadError, match="was stopped: the server is shutting down"):
        await backend.ready(None)
    assert model.closed


async def test_a_text_that_does_not_fit_fails_the_load_and_frees_the_model(
    servers: Servers, warm: Path, model_file: Path
) -> None:
    backend, model = servers.start(read_preparation([warm], None, model_file), FakeModel(n_ctx=64))
    with anyio.fail_after(PATIENCE_S), pytest.raises(ModelLoadError, match=r"Shorten it, or raise n_ctx\.$"):
        await backend.ready(None)
    assert model.closed
    assert backend.status().state == "failed"


async def test_a_system_message_is_not_computed_again_after_a_restart(
    servers: Servers, warm: Path, model_file: Path, tmp_path: Path
) -> None:
    preparation = read_preparation([warm], tmp_path / "cache", model_file)
    for computed in (PREFIX, 0):
        backend, model = servers.start(preparation)
        with anyio.fail_after(PATIENCE_S):
            await backend.ready(None)
        assert sum(len(rows) for rows in model.batches) == computed
        model.eog_after = 5
        assert (await ask(backend, *messages("Why?"))).usage.cached_tokens >= PREFIX
        await backend.close()


async def test_a_damaged_system_message_is_computed_again(
    servers: Servers, warm: Path, model_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    preparation = read_preparation([warm], tmp_path / "cache", model_file)
    for damage, warnings in ((True, 0), (False, 1), (False, 1)):
        backend, model = servers.start(preparation)
        model.eog_after = 5
        assert (await ask(backend, *messages("Why?"))).usage.cached_tokens >= PREFIX
        await backend.close()
        if damage:
            for path in (tmp_path / "cache").rglob("prefix-*.state"):
                await anyio.Path(path).write_bytes(b"damaged")
        assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == warnings


async def test_a_system_message_that_has_changed_is_computed_and_the_old_one_removed(
    servers: Servers, warm: Path, model_file: Path, tmp_path: Path
) -> None:
    for text in (SYSTEM, f"{SYSTEM} Really."):
        await anyio.Path(warm).write_text(text, encoding="utf-8")
        backend, model = servers.start(read_preparation([warm], tmp_path / "cache", model_file))
        with anyio.fail_after(PATIENCE_S):
            await backend.ready(None)
        assert sum(len(rows) for rows in model.batches) >= PREFIX
        await backend.close()
    assert len(list((tmp_path / "cache").rglob("prefix-*.state"))) == 1


@pytest.mark.parametrize("can_cut", [True, False])
async def test_a_conversation_goes_on_after_a_restart(
    can_cut: bool, servers: Servers, model_file: Path, tmp_path: Path
) -> None:
    preparation = read_preparation([], tmp_path / "cache", model_file)
    backend, model = servers.start(preparation, FakeModel(can_cut=can_cut))
    model.eog_after = 30
    answer = (await ask(backend, *messages("Why?"))).text
    await backend.close()
    backend, model = servers.start(preparation, FakeModel(can_cut=can_cut))
    cold, other = servers.start(Preparation())
    model.eog_after = other.eog_after = 30
    said = *messages("Why?"), Message(role="assistant", content=answer), Message(role="user", content="Really?")
    result, expected = await ask(backend, *said), await ask(cold, *said)
    assert (result.text, expected.usage.cached_tokens) == (expected.text, 0)
    assert result.usage.cached_tokens == len(f"<system>{SYSTEM}\n<user>Why?\n<assistant>{answer}") + 1


async def test_another_model_file_finds_nothing_of_the_first(
    servers: Servers, model_file: Path, tmp_path: Path
) -> None:
    for content, cached in ((b"GGUF one", 0), (b"GGUF two", 0), (b"GGUF one", 100)):
        await anyio.Path(model_file).write_bytes(content)
        backend, model = servers.start(read_preparation([], tmp_path / "cache", model_file))
        model.eog_after = 5
        assert (await ask(backend, *messages("Why?"))).usage.cached_tokens >= cached
        assert cached or len(model.batches) > 5
        await backend.close()
    names = {path.name.split("-")[0] for path in (tmp_path / "cache").iterdir()}
    assert names == {hashlib.sha256(content).hexdigest()[:32] for content in (b"GGUF one", b"GGUF two")}


async def test_all_parts_of_a_split_model_count(servers: Servers, tmp_path: Path) -> None:
    first, second = (tmp_path / f"model-0000{number}-of-00002.gguf" for number in (1, 2))
    await anyio.Path(first).write_bytes(b"GGUF one")
    for content in (b"GGUF two", b"GGUF new"):
        await anyio.Path(second).write_bytes(content)
        backend, _ = servers.start(read_preparation([], tmp_path / "cache", first))
        with anyio.fail_after(PATIENCE_S):
            await backend.ready(None)
    names = {path.name.split("-")[0] for path in (tmp_path / "cache").iterdir()}
    assert names == {hashlib.sha256(content).hexdigest()[:32] for content in (b"GGUF oneGGUF two", b"GGUF oneGGUF new")}


async def test_a_server_that_stops_does_not_wait_for_the_hash_of_its_model(
    servers: Servers, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, model = servers.start(read_preparation([], tmp_path / "cache", model_file))
    digest = hashlib.sha256

    def stop() -> object:
        backend.stop()
        return digest()

    monkeypatch.setattr("mcp_llama.models.preparation.hashlib.sha256", stop)
    with anyio.fail_after(PATIENCE_S), pytest.raises(ModelLoadError, match="was stopped"):
        await backend.ready(None)
    assert model.closed


async def test_a_model_file_that_is_gone_is_told(servers: Servers, model_file: Path, tmp_path: Path) -> None:
    backend, model = servers.start(read_preparation([], tmp_path / "cache", model_file))
    await anyio.Path(model_file).unlink()
    with anyio.fail_after(PATIENCE_S), pytest.raises(ModelLoadError, match=r"cannot be used: No such file"):
        await backend.ready(None)
    assert model.closed


def test_a_folder_that_is_new_is_for_its_owner_alone(tmp_path: Path, model_file: Path) -> None:
    before = os.umask(0)
    try:
        read_preparation([], tmp_path / "a" / "cache", model_file)
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "cache").stat().st_mode & 0o777 == 0o700
    assert list((tmp_path / "a" / "cache").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, model_file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_preparation([], model_file / "cache", model_file)
    assert str(caught.value) == (
        f"--cache-dir {model_file}/cache cannot be written: Not a directory. Give another folder."
    )


def test_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("mcp_llama.models.preparation.tempfile.TemporaryFile", refuse)
    with pytest.raises(ConfigError, match=r"cannot be written: Permission denied\. Give another folder\.$"):
        read_preparation([], tmp_path, model_file)


async def test_what_was_done_is_told(
    servers: Servers, warm: Path, model_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for done in ("computed", "loaded"):
        caplog.clear()
        backend, model = servers.start(read_preparation([warm], tmp_path / "cache", model_file))
        model.eog_after = 5
        await ask(backend, *messages("Why?"))
        await backend.close()
        told = "\n".join(caplog.messages)
        assert re.search(rf"warm\.txt: {PREFIX} tokens {done} in \d+\.\d\d s \(0\.0 MiB\)", told), told
        assert "Kept 1 of 1 sequences in " in told
