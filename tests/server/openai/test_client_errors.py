"""What goes wrong, as the exceptions of OpenAI's client."""

from dataclasses import replace
from typing import Any, cast

import openai
import pytest
from anyio import to_thread
from openai import AsyncOpenAI

from mcp_llama.engine.limits import EngineLimits
from mcp_llama.engine.model import DecodeError
from tests.server.client import task_group
from tests.server.openai.clients import (
    Kind,
    Play,
    ask,
    asked,
    body_of,
    both_kinds,
    create,
    piece,
    played,
    step,
    sync_client,
)
from tests.server.scene import MODEL_NAME, Scene

SCENE = Scene(scripts={None: "fine"})
streamed_or_not = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


async def request(client: AsyncOpenAI, name: str, model: str, **options: Any) -> Any:
    """Send a request of any sort."""
    match name:
        case "embeddings":
            return await client.embeddings.create(model=model, input="x")
        case "models":
            return await client.models.retrieve(model)
        case _:
            return await ask(client, cast(Kind, name), model=model, **options)


@both_kinds
@streamed_or_not
async def test_a_prompt_that_does_not_fit_is_a_bad_request_with_its_own_code(
    play: Play, kind: Kind, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await ask(play.client, kind, "x" * 2000, stream=stream)
    error = refused.value
    assert (error.status_code, error.code, error.type) == (400, "context_length_exceeded", "invalid_request_error")
    assert "but the context holds 1,024" in error.message
    assert body_of(error)["n_ctx"] == 1024
    assert body_of(error)["n_prompt_tokens"] > 2000


@both_kinds
async def test_a_limit_that_does_not_fit_says_how_much_would(play: Play, kind: Kind) -> None:
    with pytest.raises(openai.BadRequestError, match=r"Set max_tokens to \d+ or less") as refused:
        await ask(play.client, kind, max_tokens=1024)
    assert refused.value.code == "context_length_exceeded"


@pytest.mark.parametrize("name", ["chat", "completions", "embeddings", "models"])
async def test_an_unknown_model_is_not_found(play: Play, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await request(play.client, name, "gpt-9")
    error = refused.value
    assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")
    assert error.message.endswith("Unknown model 'gpt-9'. Available: fake. Omit model for the default.")


async def test_a_route_that_does_not_exist_is_not_found(play: Play) -> None:
    with pytest.raises(openai.NotFoundError, match="There is no /v1/images/generations here"):
        await play.client.images.generate(prompt="x")


async def test_the_models_are_listed_and_found_by_name(play: Play) -> None:
    (model,) = (await play.client.models.list()).data
    assert (model.id, model.object, model.owned_by) == (MODEL_NAME, "model", "mcp-llama")
    assert model.created > 0
    assert await play.client.models.retrieve(MODEL_NAME) == model


@streamed_or_not
async def test_a_full_queue_is_a_rate_limit_that_says_when_to_come_back(stream: bool) -> None:
    async with played(replace(SCENE, n_slots=1, engine=EngineLimits(max_queue=1))) as play:
        await play.stage.shut()
        async with task_group() as tasks:
            tasks.start_soon(ask, play.client, "completions")
            await play.stage.held()
            tasks.start_soon(ask, play.client, "completions")
            await play.stage.made(2)
            with pytest.raises(openai.RateLimitError) as refused:
                await ask(play.client, "chat", stream=stream)
            await play.stage.open()
    assert refused.value.code == "rate_limit_exceeded"
    assert int(refused.value.response.headers["retry-after"]) >= 1


@both_kinds
async def test_a_client_that_retries_gets_its_answer_when_there_is_room(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with played(replace(SCENE, n_slots=1, engine=EngineLimits(max_queue=1))) as play:
        await play.stage.shut()
        patient = play.client.with_options(max_retries=1)

        async def wait_for_room(*_: object, **__: object) -> None:
            await play.stage.open()
            await play.stage.ended(2)

        monkeypatch.setattr(patient, "_sleep_for_retry", wait_for_room)
        async with task_group() as tasks:
            tasks.start_soon(ask, play.client, "completions")
            await play.stage.held()
            tasks.start_soon(ask, play.client, "completions")
            await play.stage.made(2)
            answer = await ask(patient, kind)
    assert answer.text == "fine"


@both_kinds
async def test_a_failure_in_mid_stream_is_raised_after_the_text_so_far(kind: Kind) -> None:
    async with played(replace(SCENE, scripts={})) as play:
        await play.stage.shut()
        stream = await create(play.client, kind)(**asked(kind), stream=True)
        if kind == "chat":
            await anext(stream)
        for _ in range(3):
            await step(play.stage)
            assert piece((await anext(stream)).choices[0])
        play.model.fault = lambda _: DecodeError("no room")
        await play.stage.open()
        with pytest.raises(openai.APIError, match="could not compute this request: no room") as failed:
            await anext(stream)
        play.model.fault = None
        assert (await ask(play.client, kind, max_tokens=3)).reasons == ["length"]
    assert not isinstance(failed.value, openai.APIStatusError)
    assert failed.value.type == "server_error"


async def test_a_failure_in_mid_stream_is_raised_by_the_synchronous_client_too() -> None:
    async with played(Scene()) as play:
        await play.stage.shut()

        def read() -> list[Any]:
            with sync_client(play.url) as client:
                return list(create(client, "chat")(**asked("chat"), stream=True))

        async with task_group() as tasks:
            tasks.start_soon(_fail_then_open, play)
            with pytest.raises(openai.APIError, match="no room"):
                await to_thread.run_sync(read)


async def _fail_then_open(play: Play) -> None:
    await play.stage.held()
    play.model.fault = lambda _: DecodeError("no room")
    await play.stage.open()


@both_kinds
async def test_a_failure_before_the_answer_is_a_server_error(kind: Kind) -> None:
    async with played(SCENE) as play:
        play.model.fault = lambda _: DecodeError("no room")
        with pytest.raises(openai.InternalServerError, match="could not compute this request: no room") as failed:
            await ask(play.client, kind)
        play.model.fault = None
        assert (await ask(play.client, kind)).text == "fine"
    assert (failed.value.status_code, failed.value.type) == (500, "server_error")


@streamed_or_not
async def test_a_defect_is_a_server_error_without_its_text(monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    def fail(*_: object, **__: object) -> list[int]:
        raise ZeroDivisionError("secret")

    async with played(SCENE) as play:
        monkeypatch.setattr(play.model, "tokenize", fail)
        with pytest.raises(openai.InternalServerError) as failed:
            await ask(play.client, "completions", stream=stream)
    assert failed.value.status_code == 500
    assert "secret" not in str(failed.value.body)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("chat", {}),
        ("chat", {"stream": True}),
        ("completions", {}),
        ("completions", {"stream": True}),
        ("embeddings", {}),
    ],
)
async def test_a_model_that_still_loads_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, Any]
) -> None:
    monkeypatch.setattr("mcp_llama.server.loading._PATIENCE_S", 0.05)
    async with played(replace(SCENE, holds_load=True)) as play:
        with pytest.raises(openai.InternalServerError, match=r"the model is still loading \(50%\)") as failed:
            await request(play.client, name, MODEL_NAME, **options)
        (model,) = (await play.client.models.list()).data
    assert (failed.value.status_code, failed.value.type) == (503, "unavailable_error")
    assert int(failed.value.response.headers["retry-after"]) >= 1
    assert model.id == MODEL_NAME


@both_kinds
async def test_a_request_waits_for_the_model(kind: Kind) -> None:
    async with played(replace(SCENE, holds_load=True)) as play:
        answers: list[str] = []

        async def wait() -> None:
            answers.append((await ask(play.client, kind)).text)

        async with task_group() as tasks:
            tasks.start_soon(wait)
            await play.client.models.list()
            assert answers == []
            await play.stage.finish_load()
    assert answers == ["fine"]


@both_kinds
async def test_a_model_that_could_not_be_loaded_is_unavailable_and_says_why(kind: Kind) -> None:
    async with played(replace(SCENE, load_error="model.gguf is damaged. Download it again.")) as play:
        with pytest.raises(openai.InternalServerError, match=r"model\.gguf is damaged") as failed:
            await ask(play.client, kind)
    assert failed.value.status_code == 503
